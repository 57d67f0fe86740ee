"""ToolEval: is an answer a pass, is it grounded, is it better, and how sure is all that."""

from eval.case import Case, Cases
from eval.comparison import Comparison, compare
from eval.contest import Contest, contest
from eval.conversion import convert
from eval.evaluation import Evaluation, Setting, evaluate
from eval.judge import Judge, ModelJudge, RuleJudge
from eval.labels import Labels, read_labels
from eval.statistics import Rate, agreement, mcnemar, paired_bootstrap
from eval.verdict import Verdict, judge

__all__ = [
    "Case",
    "Cases",
    "Comparison",
    "Contest",
    "Evaluation",
    "Judge",
    "Labels",
    "ModelJudge",
    "Rate",
    "RuleJudge",
    "Setting",
    "Verdict",
    "agreement",
    "compare",
    "contest",
    "convert",
    "evaluate",
    "judge",
    "mcnemar",
    "paired_bootstrap",
    "read_labels",
]
