// 任务队列：同一时间最多运行 limit 个任务。
import { EventEmitter } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";

const DEFAULT_LIMIT = 4;

/**
 * Runs tasks, a few at a time, in the order in which they were given.
 */
export class TaskQueue extends EventEmitter {
  constructor(limit = DEFAULT_LIMIT) {
    super();
    this.limit = limit;
    this.waiting = [];
    this.running = 0;
  }

  /** 加入一个任务，返回它的结果。 */
  add(task) {
    return new Promise((resolve, reject) => {
      this.waiting.push({ task, resolve, reject });
      this.next();
    });
  }

  // Starts what may be started.
  next() {
    while (this.running < this.limit && this.waiting.length > 0) {
      const { task, resolve, reject } = this.waiting.shift();
      this.running += 1;
      task()
        .then(resolve, reject)
        .finally(() => {
          this.running -= 1;
          this.emit("done", this.waiting.length);
          this.next();
        });
    }
  }
}

// 失败后等待再试
export const retry = async (task, times = 3, pause = 200) => {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await task();
    } catch (error) {
      if (attempt === times) {
        throw new Error(`任务失败 ${times} 次`, { cause: error });
      }
      await sleep(pause * attempt);
    }
  }
};
