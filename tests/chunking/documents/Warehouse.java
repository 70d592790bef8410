package com.example.store;

import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * 仓库。Keeps how many of each part there are.
 */
public class Warehouse implements Stock {
    private final Map<String, Integer> parts = new HashMap<>();

    /** 入库 */
    @Override
    public synchronized void put(String part, int amount) {
        if (amount <= 0) {
            throw new IllegalArgumentException("amount must be positive: " + amount);
        }
        parts.merge(part, amount, Integer::sum);
    }

    // 出库：不足时抛出异常，余额不变
    @Override
    public synchronized void take(String part, int amount) {
        int there = parts.getOrDefault(part, 0);
        if (there < amount) {
            throw new IllegalStateException(part + "：只剩 " + there + " 件");
        }
        parts.put(part, there - amount);
    }

    public List<String> names() {
        return parts.keySet().stream().sorted().toList();
    }

    private static final class Entry {
        final String part;
        final int amount;

        Entry(String part, int amount) {
            this.part = part;
            this.amount = amount;
        }
    }
}
