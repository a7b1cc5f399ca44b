"""What the lists in QGIS offer is what model/ has: QGIS does not import it."""

from jobs import TRAINING_LOSSES, USUAL_NETWORKS
from model.losses import LOSSES
from model.networks import NETWORKS


def test_losses():
    assert tuple(LOSSES) == TRAINING_LOSSES


def test_networks():
    assert set(USUAL_NETWORKS) <= set(NETWORKS) and len(set(USUAL_NETWORKS)) == len(USUAL_NETWORKS)
