import React, { useState } from "react";

type Props = { title: string; children: React.ReactNode };

/** 可以折叠的卡片 */
export function Card({ title, children }: Props) {
  const [open, setOpen] = useState(true);
  return (
    <section aria-label={title}>
      <button onClick={() => setOpen(!open)}>{open ? "收起" : "展开"}</button>
      {open && <div className="body">{children}</div>}
    </section>
  );
}
