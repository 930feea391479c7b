"""Statistics of an audit: what changed, by how much, how surely, and from how many cases.

One family of routines per file, each a pure function of numpy arrays that returns a frozen result.
A result prints as one sentence with number, interval, n and method, and `to_dict()` gives plain types for JSON.

Which file answers which question

    proportions    how often was the model right: accuracy, sensitivity, specificity, with Wilson intervals
    auroc          how well do the scores rank the diseased above the healthy (DeLong, also by patient)
    macro_auroc    the same over several findings of the same cases
    threshold      which score counts as positive, fixed on clean validation cases
    error_shift    what the attack did to missed and false alarms, and what that costs per 1,000 patients
    mcnemar        did the same cases change sides more in one direction than in the other
    bootstrap      an interval for any number when a patient has several cases
    paired         did accuracy fall over repeated trials (paired t, Wilcoxon)
    sign_flip      the same question without assuming a distribution, and whether n can answer it at all
    normality      may a t test be trusted, and could we have noticed if not
    effect_size    how large is the difference in points and in standard deviations
    anova          do several methods differ (one-way, blocked by trial, Welch)
    posthoc        which of them differ (Tukey, Games-Howell, Holm on paired contrasts)
    friedman       the same two questions on ranks (Friedman, Nemenyi)
    mixed          the same question when some trials of some methods are missing
    multiplicity   many p-values of one declared family (Holm)
    equivalence    is the loss smaller than a margin declared in advance (TOST)
    power          how many trials or cases the next audit needs, decided before it runs

Submodules are imported where they are used, so that importing this package loads neither numpy nor scipy.
"""
