using System;
using System.Collections.Generic;
using System.Linq;

namespace Example.Billing
{
    /// <summary>发票 An invoice and its lines.</summary>
    public sealed class Invoice
    {
        private readonly List<(string Text, decimal Amount)> lines = new();

        public DateTime Date { get; init; } = DateTime.UtcNow;

        /// <summary>增加一行；金额不得为负。</summary>
        public void Add(string text, decimal amount)
        {
            if (amount < 0)
            {
                throw new ArgumentOutOfRangeException(nameof(amount), "金额为负");
            }
            lines.Add((text, amount));
        }

        // Tax is rounded once, on the sum.
        public decimal Total(decimal taxRate)
        {
            var net = lines.Sum(line => line.Amount);
            return net + Math.Round(net * taxRate, 2, MidpointRounding.ToEven);
        }
    }
}
