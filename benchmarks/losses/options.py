"""The ways of teaching that are compared: settings of ``training`` by dotted key, beside what is declared by default."""

PLAIN = "plain"
OPTIONS: dict[str, dict[str, float | str]] = {
    PLAIN: {},
    "rank_weight 0.5": {"rank_weight": 0.5},
    "rank_weight 1": {"rank_weight": 1.0},
    "smoothing 0.1": {"label_smoothing": 0.1},
    "smoothing 0.1 by taxonomy": {"label_smoothing": 0.1, "label_smoothing_by": "taxonomy"},
    "mixup 0.2": {"augmentation.mixup": 0.2},
    "cutmix 1": {"augmentation.cutmix": 1.0},
    "rank_weight 0.5, taxonomy 0.1, cutmix 1": {
        "rank_weight": 0.5,
        "label_smoothing": 0.1,
        "label_smoothing_by": "taxonomy",
        "augmentation.cutmix": 1.0,
    },
}
