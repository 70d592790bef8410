"""Words that carry no topic, in their index form: dropped from queries and keywords only."""

_ENGLISH = """
a about above after again against all also am an and ani any are as at be becaus because been befor before being
below between both but by can could did do doe does doing down dure during each few for from further had has have having
he her here hers him his how i if in into is it its just me more most my no nor not of off on onc once onli only or
other our out over own same she should so some such than that the their them then there these they this those through
to too under until up veri very was we were what when where whi which while who whom whose why will with would you your
get got let may might must shall s t ve ll d m
"""
_CHINESE = """
的 了 是 在 和 与 及 或 也 都 就 而 被 把 对 从 到 向 于 由 以 为 给 让 但 但是 并 并且 而且 如果 因为 所以 虽然 然而
我 你 他 她 它 我们 你们 他们 她们 它们 自己 这 那 这个 那个 这些 那些 这里 那里 这样 那样 此 其 之 者 所 着 过 地 得
吗 呢 吧 啊 呀 嘛 哦 么 哪 哪个 哪些 哪里 哪儿 谁 什么 怎么 怎样 怎么样 如何 为什么 为何 何 多少 几 是否 能否 可否
有 没有 没 不 不是 很 太 更 最 还 还是 又 再 才 只 则 即 等 等等 一个 一种 一些 一下 请 请问 告诉 可以 能 能够 会 要
应该 需要 想 知道 是不是 有没有 哪一个 哪一年 什么样 是什么 有哪些 多大 上 中 下 里 时 个 种
"""
STOP_WORDS = frozenset(_ENGLISH.split()) | frozenset(_CHINESE.split())

_NO_SUBJECT = """
day week month year hour minut second today yesterday tomorrow time date daili weekli monthli yearli annual
one two three four five six seven eight nine ten hundr thousand million first third fourth last next previous
new old good bad big small larg high low long short mani much sever everi other use make made take taken give given
get go come put set way thing part kind sort case exampl number within without per via etc yes one's
小时 分钟 秒钟 时候 时间 日期 今天 昨天 明天 今年 去年 本年 本月 世纪 年代 时期 期间 之日起 之日 当日 次日 工作日 以上 以下 以前 以后
之前 之后 以内 其中 其他 情况 方面 部分 一词 内容 原因 方式 全部 全体 目前 同时 例如 比如 有关 相关 主要 部门 单位 个人 人们
"""
KEYWORD_STOP_WORDS = frozenset(_NO_SUBJECT.split())
"""Words that name no subject by themselves, in their index form: no keywords, though a query may well hold them."""
