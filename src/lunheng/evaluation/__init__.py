"""Measuring: data sets, retrieval metrics, statistics, and the runner that joins them."""

from lunheng.evaluation.datasets import Passage, Query, RetrievalDataset, load_dataset
from lunheng.evaluation.retrieval_metrics import hit_at_1, mrr_at_k, ndcg_at_k, recall_at_k
from lunheng.evaluation.runner import RetrievalReport, evaluate_retrieval
from lunheng.evaluation.statistics import Interval, bootstrap_interval, paired_test

__all__ = [
    "Interval",
    "Passage",
    "Query",
    "RetrievalDataset",
    "RetrievalReport",
    "bootstrap_interval",
    "evaluate_retrieval",
    "hit_at_1",
    "load_dataset",
    "mrr_at_k",
    "ndcg_at_k",
    "paired_test",
    "recall_at_k",
]
