"""What the binary documents of ``examples/handbook/`` say: the text that ``make_handbook.py`` sets.

Starling Cloud (椋鸟云) is invented, and so is every name, number and date here. Facts meet in several documents
(backups are kept 35 days here and in ``data-retention.html``), so change them together; ``examples/questions.toml`` quotes them.
"""

from __future__ import annotations

import datetime

Block = tuple[str, object]
"""Kind (h1, h2, p, ul, ol, table) and content; a table is (caption, rows), its first row the header."""

EMPLOYEE_HANDBOOK: list[Block] = [
    ("h1", "第一章 关于公司"),
    ("h2", "1.1 公司简介"),
    ("p", "椋鸟云成立于 2017 年 9 月，总部设在杭州，在成都、新加坡和鹿特丹设有办公室。截至 2025 年 12 月 31 日，公司共有 412 名员工，其中研发人员 236 名。公司提供三项产品：对象存储 Murmur、托管数据库 Roost 和容器服务 Flock。"),
    ("h2", "1.2 手册的效力"),
    ("p", "本手册第 4.2 版自 2026 年 1 月 1 日起生效，由人力资源部维护，负责人为人力资源总监黎若禾。条款修改须提前 15 天在内网公告，并征求职工代表意见。本手册与办公室所在地的法律不一致时，以当地法律为准。"),
    ("p", "本手册只规定通用事项。值班与事故处理见《On-call and Incident Guide》，费用报销见《椋鸟云报销制度》，密钥与凭据见《安全密钥与凭据轮换规范》，客户数据的保存与删除见《Data Retention and Erasure Policy》。"),
    ("h1", "第二章 工作时间"),
    ("h2", "2.1 标准工时"),
    ("p", "员工每周工作 40 小时。每个工作日的 10:30 至 16:00 为核心时段，所有人应当在线；其余时间自行安排，最早可以从 7:30 开始。跨时区的团队可以另行约定核心时段，但不得短于 4 小时。"),
    ("h2", "2.2 远程办公"),
    ("p", "正式员工每周最多远程办公 2 天，试用期员工每周最多 1 天，均须提前一天在“归巢”系统登记。此外，每名正式员工每年有 20 天“异地办公”额度，可以在常驻城市以外工作，单次连续不得超过 10 天。异地办公地点在境外的，须先经安全部批准。"),
    ("h2", "2.3 加班与调休"),
    ("p", "加班实行先申请、后加班的原则，由直属主管在“归巢”系统批准。工作日加班按一比一折算调休，调休须在加班之日起 90 天内用完。法定节假日加班按当地法律支付工资，不以调休代替。"),
    ("h1", "第三章 休假"),
    ("h2", "3.1 年假"),
    ("p", "年假天数按员工在本公司的司龄计算，入职当年按月折算。各司龄对应的天数见表 1。"),
    ("table", ("表 1 各司龄的年假天数", [
        ("司龄", "每年年假天数", "可结转天数"),
        ("不满 1 年", "7 天（按月折算）", "0 天"),
        ("满 1 年不满 3 年", "10 天", "3 天"),
        ("满 3 年不满 5 年", "13 天", "4 天"),
        ("满 5 年不满 10 年", "17 天", "6 天"),
        ("满 10 年及以上", "21 天", "6 天"),
    ])),
    ("p", "当年未休完的年假按表 1 的上限结转，须在次年 3 月 31 日之前休完，逾期作废。因工作需要由主管书面要求推迟休假的，结转期限延长至次年 6 月 30 日。"),
    ("h2", "3.2 病假"),
    ("p", "每名员工每年有 12 天全薪病假。超过 12 天的部分按基本工资的 70% 发放。连续病假达到 3 天的，须在返岗后 5 天内提交医院证明。"),
    ("h2", "3.3 其他假期"),
    ("ul", [
        "婚假：15 天，自登记之日起一年内一次休完。",
        "陪产假：20 天，自子女出生之日起 6 个月内休完，可以分两次。",
        "育儿假：子女满三周岁之前，父母双方每人每年 10 天。",
        "丧假：直系亲属 5 天，其他亲属 2 天，路程时间另计。",
        "志愿服务假：每年 3 天，须提交公益组织的证明。",
        "搬家假：每两年 1 天。",
    ]),
    ("h2", "3.4 请假流程"),
    ("ol", [
        "在“归巢”系统提交申请。3 天以内的假期提前 2 个工作日提交，更长的提前 10 个工作日提交。",
        "3 天以内由直属主管批准；超过 3 天的，还须部门负责人批准；超过 10 天的，由人力资源部复核。",
        "主管应当在 1 个工作日内答复；逾期未答复的，系统自动转交部门负责人。",
        "突发疾病可以事后补办，但须在当天 11:00 之前告知主管。",
    ]),
    ("h1", "第四章 薪酬与福利"),
    ("h2", "4.1 发薪"),
    ("p", "公司每月 8 日发放上月工资，遇休息日或节假日提前至最近的工作日。年终奖在次年 4 月随工资发放，目标值为 1.5 个月基本工资，实际金额按绩效系数 0 至 2 计算。当年 10 月 1 日及以后入职的员工不参加当年的年终奖。"),
    ("h2", "4.2 补充医疗保险"),
    ("p", "公司为每名员工购买补充医疗保险，自入职次月 1 日起生效。门诊年度限额为 12,000 元，每次免赔额 200 元，免赔额以上按 85% 报销；住院不设免赔额，年度限额为 200,000 元。子女可以附加投保，保费由公司承担 60%。"),
    ("h2", "4.3 津贴"),
    ("table", ("表 2 津贴标准", [
        ("津贴", "标准", "说明"),
        ("学习津贴", "每年 4,800 元", "课程、书籍和考试，凭发票报销"),
        ("健身津贴", "每季度 450 元", "随季度首月工资发放"),
        ("午餐补贴", "每个工作日 28 元", "存入工作证，当月有效"),
        ("夜间交通", "每次 80 元", "22:00 以后离开办公室"),
        ("通信补贴", "每月 100 元", "仅限客户支持和销售岗位"),
    ])),
    ("h1", "第五章 入职与离职"),
    ("h2", "5.1 试用期"),
    ("p", "试用期为 3 个月，P8 及以上职级为 6 个月。入职第 45 天进行中期面谈，由主管、导师和员工本人参加。试用期结束前 7 天，主管须提交转正意见；未按时提交的，视为同意转正。"),
    ("h2", "5.2 离职"),
    ("p", "正式员工离职须提前 30 天书面通知，试用期员工须提前 3 天。所有账号在最后工作日的 18:00 关闭。笔记本电脑、安全密钥和门禁卡须在 5 个工作日内交还 IT 服务台，逾期按账面净值从最后一笔工资中扣除。"),
    ("h2", "5.3 回归计划"),
    ("p", "离职后 18 个月内重新入职的，司龄连续计算，不再设试用期。推荐离职同事回归的员工可以获得 6,000 元奖励，在回归满 3 个月后发放。"),
    ("h1", "第六章 行为准则"),
    ("h2", "6.1 礼品与利益冲突"),
    ("p", "员工收到单件价值超过 300 元的礼品，须在 7 天内向合规邮箱 compliance@starling-cloud.example 申报并上交。员工及其近亲属在供应商持股超过 1% 的，须主动回避相关采购。"),
    ("h2", "6.2 举报与保护"),
    ("p", "举报热线为分机 6606，由外部律师事务所接听，可以匿名。公司承诺在 60 天内给出书面结论。对举报人打击报复的，一律解除劳动合同。"),
    ("h2", "6.3 违纪处理"),
    ("p", "违纪分为三级：一级口头警告，二级书面警告，三级解除劳动合同。书面警告的有效期为 12 个月，期间不得晋升。隐瞒安全事件超过 24 小时的，至少给予书面警告。员工对处理不服的，可以在 10 天内向申诉委员会提出复核，委员会由 5 人组成，其中 2 人由员工选举产生。"),
]  # fmt: skip

ON_CALL_GUIDE: list[Block] = [
    ("p", "Version 3.1, in force since 1 February 2026. Owner: Priya Nandakumar, Head of Reliability Engineering. This guide says who carries the pager, what they are paid, how an incident is graded and run, and what happens afterwards."),
    ("h1", "1 On-call rotation"),
    ("h2", "1.1 Who is on call"),
    ("p", "Each of the three product teams (Murmur, Roost and Flock) has a primary and a secondary engineer on call. A shift lasts seven days and changes hands on Tuesday at 10:00 Hangzhou time. Nobody is primary for more than one week in four. A new engineer joins the rotation after shadowing two full shifts and passing the review called Gate 2."),
    ("h2", "1.2 Pay"),
    ("p", "The allowance is paid for the whole shift, paged or not. Each page that arrives outside working hours is paid on top of it. Both are paid with the salary of the following month."),
    ("table", ("Table 1. On-call pay (CNY)", [
        ("Role", "Weekly allowance", "Per page outside working hours"),
        ("Primary engineer", "1,350", "180"),
        ("Secondary engineer", "620", "90"),
        ("Incident commander", "1,900", "240"),
    ])),
    ("p", "On a public holiday the daily share of the allowance is multiplied by 2.5. An engineer who was paged between 00:00 and 06:00 starts no earlier than 13:00 on the next working day, without using leave."),
    ("h2", "1.3 Acknowledging a page"),
    ("ul", [
        "The primary engineer acknowledges within 5 minutes.",
        "After 8 minutes without an acknowledgement, the secondary engineer is paged.",
        "After 15 minutes, the incident commander is paged and takes over.",
    ]),
    ("p", "A shift may be swapped with any engineer of the same team, at the latest 12 hours before it begins, with the bot command given in section 2.2. Whoever misses three pages in a quarter talks with Priya Nandakumar; the talk is about sleep and tooling and is not a warning."),
    ("h1", "2 Incidents"),
    ("h2", "2.1 Severities"),
    ("table", ("Table 2. Incident severities", [
        ("Level", "Meaning", "First status page post", "Then updated every", "Target to restore"),
        ("SEV1", "Data loss, or a whole region unavailable", "10 minutes", "20 minutes", "2 hours"),
        ("SEV2", "A product degraded for more than 5% of its customers", "25 minutes", "45 minutes", "6 hours"),
        ("SEV3", "A single customer affected, or a workaround exists", "2 hours", "4 hours", "3 business days"),
        ("SEV4", "Cosmetic, nobody is hindered", "not posted", "not posted", "next release"),
    ])),
    ("p", "When in doubt, choose the higher level. Lowering a level needs the incident commander; raising it needs nobody."),
    ("h2", "2.2 Declaring an incident"),
    ("ol", [
        "Type /flare open in any channel. The bot Kestrel makes a room, invites the people on call and starts the clock.",
        "Name the product and the level, for example /flare open roost sev2. To swap a shift, type /flare swap and the colleague's name.",
        "The incident commander names a scribe. The commander decides and does not type commands on production machines.",
        "The communications lead posts to the status page by the times in Table 2.",
    ]),
    ("h2", "2.3 Escalation"),
    ("p", "In a SEV1 the chief technology officer, Mei-Lin Okafor, is called within 15 minutes. If customer data may have been exposed, the General Counsel, Baptiste Noor, is told within 1 hour and the Data Protection Officer within 2 hours. Journalists are answered by the press office only."),
    ("h1", "3 Afterwards"),
    ("h2", "3.1 Post-mortem"),
    ("p", "Every SEV1 and SEV2 has a post-mortem without blame. The draft is due within 3 business days and is discussed on the following Thursday at 15:00 in room Nest 7. Each action has one owner and one date; an action overdue by more than 30 days is reported to the chief technology officer. In 2025 there were 4 SEV1 and 19 SEV2 incidents; the longest, on 8 August, was a failed cooling pump in Chengdu and lasted 3 hours and 52 minutes."),
    ("h2", "3.2 Credits to customers"),
    ("p", "A customer affected by a SEV1 that lasted longer than 2 hours receives a credit of 10% of the monthly fee of the product concerned, and a further 5% for each full hour after that, at most 30% in one month. Credits are booked without being asked for, by the fifth working day of the next month."),
]  # fmt: skip

EXPENSE_POLICY: list[Block] = [
    ("p", "本制度自 2026 年 1 月 1 日起施行，《椋鸟云报销制度（2025 版）》同时废止。本制度由财务部解释，负责人为财务总监司徒衡。2025 年 12 月 31 日及以前发生的费用仍按 2025 版执行。"),
    ("h1", "第一章 总则"),
    ("h2", "1.1 原则"),
    ("p", "费用应当真实、必要、节俭。能用公司账户直接支付的，不由员工垫付；必须垫付的，尽快报销。任何人不得审批自己的费用。"),
    ("h2", "1.2 一线城市"),
    ("p", "本制度所称一线城市，是指北京、上海、广州、深圳和杭州。员工在常驻城市内不适用差旅标准。香港、澳门和台湾地区按境外标准执行。"),
    ("h1", "第二章 差旅标准"),
    ("h2", "2.1 住宿、餐饮与市内交通"),
    ("table", ("表 1 差旅费用上限（2026 年，单位：元）", [
        ("项目", "一线城市", "其他城市", "境外"),
        ("住宿费（每晚）", "680", "460", "1,450"),
        ("餐费（每天）", "150", "120", "380"),
        ("市内交通（每天）", "120", "80", "260"),
    ])),
    ("p", "住宿费超出上限的部分由员工承担；会议主办方指定酒店的，可以上浮 25%，须附会议通知。两人同住一间的，上限合并计算。"),
    ("h2", "2.2 长途交通"),
    ("ul", [
        "火车：车程 4 小时以内乘坐二等座，超过 4 小时可以乘坐一等座。",
        "飞机：一律购买经济舱；飞行超过 6 小时可以购买超级经济舱，超过 9 小时经副总裁批准可以购买公务舱。",
        "自驾：每公里补贴 1.1 元，过路费和停车费凭票报销。",
    ]),
    ("h1", "第三章 报销流程"),
    ("h2", "3.1 提交与付款"),
    ("ol", [
        "费用发生后 30 天内在“米仓”系统提交，逾期须由部门负责人说明理由；超过 90 天的一律不予受理。",
        "上传发票原件照片。单张金额 200 元以下可以无票报销，每人每月累计不超过 200 元。",
        "按表 2 的权限审批，审批人应当在 3 个工作日内处理。",
        "财务部每周三打款，审批通过后最迟 5 个工作日到账。",
    ]),
    ("h2", "3.2 审批权限"),
    ("table", ("表 2 审批权限", [
        ("类别", "单笔金额", "审批人"),
        ("差旅与日常", "5,000 元以下", "直属主管"),
        ("差旅与日常", "5,000 元至 20,000 元", "部门负责人"),
        ("差旅与日常", "20,000 元以上", "财务总监司徒衡"),
        ("采购", "10,000 元以下", "部门负责人"),
        ("采购", "10,000 元以上", "采购委员会，每月第二个星期四开会"),
    ])),
    ("h1", "第四章 其他费用"),
    ("h2", "4.1 客户招待"),
    ("p", "客户招待须事先在“米仓”系统申请，人均不超过 260 元，公司陪同人数不得超过客户人数。烈酒不予报销。"),
    ("h2", "4.2 家庭办公设备与软件"),
    ("p", "每名正式员工每三年可以报销 3,200 元的家庭办公设备，包括显示器、办公椅、桌子和键盘，所有权归员工。每月 150 元以下的软件订阅无须审批，但须先由安全部登记。"),
    ("h2", "4.3 备用金"),
    ("p", "出差时间超过 7 天的员工可以预借备用金，最高 8,000 元，须在返回后 15 天内冲销。逾期未冲销的，从下月工资中扣回。"),
    ("h1", "第五章 监督"),
    ("p", "财务部每季度抽查 5% 的报销单。虚假报销一经查实，须全额退回，并给予书面警告；金额超过 3,000 元或者再次发生的，解除劳动合同。对结论有异议的，可以在 10 天内向申诉委员会提出。"),
]  # fmt: skip

Slide = tuple[str, list[str] | list[tuple[str, ...]], str]
"""Title, bullets (leading ``- `` for the second level) or table rows, and the speaker's notes."""

PLANS: list[Slide] = [
    ("方案一览 Plans at a glance", [
        ("方案 Plan", "月费 Monthly fee", "存储 Storage", "出站流量 Egress", "支持响应 Support reply"),
        ("雏鸟 Fledgling", "99 元", "200 GB", "100 GB", "24 小时"),
        ("候鸟 Migrant", "899 元", "5 TB", "2 TB", "8 小时"),
        ("头雁 Skein", "5,600 元", "40 TB", "15 TB", "1 小时（7×24）"),
    ], "Prices exclude tax and are the same in all four regions. Most small teams outgrow Fledgling after about five months, so mention Migrant early. 价格每年 4 月和 10 月各复核一次；本价目表自 2026 年 4 月 1 日起有效，下次复核在 2026 年 10 月。"),
    ("超量计费 Overage", [
        "存储超出部分：每 GB 每月 0.11 元，按日平均用量计算",
        "出站流量超出部分：每 GB 0.38 元",
        "- 同一区域内的流量免费",
        "- 跨区域复制按每 GB 0.16 元计费",
        "API 请求：每百万次 2.6 元，每月前 300 万次免费",
        "用量达到额度的 80% 和 100% 时发送邮件提醒",
    ], "A customer may set a hard limit: when it is reached, writing stops and reading goes on. Without a hard limit we never stop a service for overage; we bill it with the next invoice."),
    ("可用性承诺 Availability", [
        "雏鸟：每月 99.5%",
        "候鸟：每月 99.9%",
        "头雁：每月 99.95%，并指定一名客户经理",
        "低于承诺时按《On-call and Incident Guide》第 3.2 节自动赔付，无须申请",
    ], "Planned maintenance inside the published window of a region does not count against availability. Announce it 6 days ahead."),
    ("试用与退款 Trial and refunds", [
        "免费试用 21 天，无须信用卡，存储上限 50 GB",
        "首次购买后 14 天内可以全额退款",
        "- 已使用的超量部分不退",
        "升级立即生效，按剩余天数补差价",
        "降级自下一个账单月 1 日起生效",
    ], "After a trial ends, the data is kept read-only for 12 days, then erased as for a closed account. A second trial for the same company needs the sales director's approval."),
    ("折扣 Discounts", [
        "年付：八八折",
        "教育机构与公益组织：六折，须提供证明，每年复核",
        "初创企业：成立不满 3 年且员工不超过 20 人，前 12 个月七折",
        "折扣不可叠加，以最优惠的一项为准",
    ], "Any discount above 15 percent that is not on this slide needs the written approval of the sales director, Wen Kolbe. Never promise a price for longer than 24 months. Quotes are valid for 30 days."),
    ("附加服务 Add-ons", [
        "专属网络连接：每月 2,300 元，含 1 Gbps 端口",
        "数据迁移：200 TB 以内免费，由解决方案团队执行",
        "- 团队负责人：阿依古丽·凯恩（Aygul Kane）",
        "架构评审：每次 6,800 元，头雁方案每年免费 2 次",
        "删除证明：仅限头雁方案，见《Data Retention and Erasure Policy》第 3.2 节",
    ], "The migration team loads at most three customers at the same time; the present waiting time is about five weeks. Tell customers so before they sign. 专属网络连接目前只在杭州二区和新加坡一区提供，开通周期为 18 个工作日。"),
]  # fmt: skip

BACKUP_SCHEDULE: list[tuple[object, ...]] = [
    ("System 系统", "Method 方式", "Frequency 频率", "Starts at 开始时间 (UTC+8)", "Kept for (days) 保留天数", "Copy kept in 存放区域", "RPO (minutes)", "RTO (hours)", "Owner 负责人"),
    ("Roost customer databases 客户数据库", "write-ahead log 预写日志", "every 15 minutes 每 15 分钟", "continuous 持续", 35, "cn-cd-1", 15, 4, "魏思远 Wei Siyuan"),
    ("Roost customer databases 客户数据库", "full copy 全量", "daily 每天", "02:40", 35, "cn-cd-1", 1440, 6, "魏思远 Wei Siyuan"),
    ("Murmur metadata 对象存储元数据", "snapshot 快照", "every 2 hours 每 2 小时", "00:10", 35, "cn-cd-1", 120, 3, "Lucía Adomako"),
    ("Flock control plane 容器控制面", "etcd snapshot 快照", "every 30 minutes 每 30 分钟", "00:05", 21, "sg-1", 30, 2, "Jonas Petrosyan"),
    ("Billing 计费系统", "full copy 全量", "daily 每天", "01:15", 365, "cn-cd-1", 1440, 12, "Anselm Quispe"),
    ("Micang 米仓报销系统", "full copy 全量", "daily 每天", "23:30", 180, "cn-cd-1", 1440, 24, "施雨桐 Shi Yutong"),
    ("Guichao 归巢人事系统", "full copy 全量", "daily 每天", "00:20", 180, "cn-cd-1", 1440, 24, "施雨桐 Shi Yutong"),
    ("Git repositories 代码仓库", "mirror 镜像", "hourly 每小时", "00:45", 120, "eu-rt-1", 60, 3, "Jonas Petrosyan"),
    ("Mail and calendar 邮件与日历", "incremental 增量", "every 6 hours 每 6 小时", "05:00", 60, "sg-1", 360, 10, "施雨桐 Shi Yutong"),
    ("Raven 渡鸦密钥系统", "encrypted full copy 加密全量", "daily 每天", "04:30", 14, "sg-1", 1440, 1, "Tomas Brandvold"),
    ("Audit logs 审计日志", "incremental 增量", "hourly 每小时", "00:25", 30, "cn-cd-1", 60, 48, "Tomas Brandvold"),
    ("Rotterdam file server 鹿特丹文件服务器", "full copy 全量", "weekly 每周六", "20:00", 56, "eu-rt-1", 10080, 72, "Marijke van Aalst"),
]  # fmt: skip

RESTORE_DRILLS: list[tuple[object, ...]] = [
    ("日期", "系统", "场景", "目标（分钟）", "实际耗时（分钟）", "结果", "主持人", "备注"),
    (datetime.date(2025, 10, 21), "客户数据库", "误删单个数据库", 60, 52, "通过", "魏思远", "演练中发现文档第 4 步缺少参数，已补上"),
    (datetime.date(2025, 11, 18), "计费系统", "整库损坏", 720, 815, "未通过", "Anselm Quispe", "解密密钥的保管人休假，等待 3 小时；改为两人保管"),
    (datetime.date(2025, 12, 16), "计费系统", "整库损坏（复测）", 720, 604, "通过", "Anselm Quispe", "复测通过"),
    (datetime.date(2026, 1, 20), "客户数据库", "整个区域不可用", 240, 187, "通过", "魏思远", "从成都一区恢复到杭州二区"),
    (datetime.date(2026, 2, 24), "代码仓库", "主库被勒索软件加密", 180, 96, "通过", "Jonas Petrosyan", "从鹿特丹镜像恢复"),
    (datetime.date(2026, 3, 17), "对象存储元数据", "快照损坏，回退到上一份", 180, 171, "通过", "Lucía Adomako", "仅剩 9 分钟余量，列入改进项"),
    (datetime.date(2026, 4, 14), "渡鸦密钥系统", "单点登录不可用", 60, 41, "通过", "Tomas Brandvold", "使用破窗账号完成"),
]  # fmt: skip

BACKUP_RULES: list[tuple[object, ...]] = [
    ("No.", "Rule", "规则"),
    (1, "Every system is restored for real at least once in 12 months; customer databases every quarter. Drills are held on a Tuesday.", "每个系统每 12 个月至少真实恢复一次，客户数据库每季度一次。演练安排在星期二。"),
    (2, "A failed drill is repeated within 30 days and is reported to the chief technology officer.", "未通过的演练须在 30 天内复测，并报告首席技术官。"),
    (3, "Backups are encrypted with AES-256; the two holders of a decryption key are never on leave at the same time.", "备份使用 AES-256 加密；同一解密密钥的两名保管人不得同时休假。"),
    (4, "A missed backup raises a SEV3 incident; two missed in a row raise a SEV2.", "错过一次备份触发 SEV3 事件，连续错过两次触发 SEV2 事件。"),
    (5, "No backup of customer content is kept for longer than 35 days.", "客户内容的备份保留时间不得超过 35 天。"),
    (6, "A checksum of each copy is compared every Monday at 06:00; the report goes to backup-report@starling-cloud.example.", "每周一 06:00 核对所有副本的校验和，报告发送到 backup-report@starling-cloud.example。"),
]  # fmt: skip
