"""ToolEval: is an answer a pass, is it grounded, and how sure is the rate."""

from eval.evaluation import Evaluation, Setting, evaluate
from eval.statistics import Rate
from eval.verdict import Verdict, judge

__all__ = ["Evaluation", "Rate", "Setting", "Verdict", "evaluate", "judge"]
