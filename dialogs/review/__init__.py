"""The review dock: every outline judged, corrected and kept."""
