import { readFile } from "node:fs/promises";

export interface Rate {
  currency: string;
  /** 一百元人民币兑换的数额 */
  perHundred: number;
}

/** Exchange rates of one day. */
export class Rates {
  private readonly table = new Map<string, Rate>();

  static async load(path: string): Promise<Rates> {
    const rates = new Rates();
    for (const rate of JSON.parse(await readFile(path, "utf8")) as Rate[]) {
      rates.table.set(rate.currency, rate);
    }
    return rates;
  }

  // 未知货币直接报错，不返回零
  convert(amount: number, currency: string): number {
    const rate = this.table.get(currency);
    if (rate === undefined) {
      throw new RangeError(`no rate for ${currency}; load the rates of another day`);
    }
    return (amount / 100) * rate.perHundred;
  }
}

export function format(amount: number, currency: string): string {
  return new Intl.NumberFormat("zh-CN", { style: "currency", currency }).format(amount);
}
