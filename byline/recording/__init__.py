"""Recording a training run: every example's projected gradient at the step that used it, for recipe `dvemb`."""

from byline.recording.recorder import RecorderOptions, TrainingRecorder

__all__ = ["RecorderOptions", "TrainingRecorder"]
