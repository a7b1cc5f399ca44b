"""``processing.run`` of Train network, Export network, Adapt model and Mine hard negatives: what reaches the engine, what is refused, what
comes of it."""

from __future__ import annotations

import json

import numpy as np
import processing
import pytest
from qgis.core import QgsProcessingContext, QgsProcessingException, QgsProject, QgsRasterLayer, QgsSettings

from jobs import STACK_BANDS
from tests.plugin.samples import Listener, polygon_layer, save, square, write_chip, write_raster

TRAIN, EXPORT, ADAPT, MINE = (f"rockglacier:{name}" for name in ("trainnetwork", "exportnetwork", "adaptmodel", "minehardnegatives"))


FIGURES = dict.fromkeys(
    (
        "checkpoint",
        "curves",
        "metrics",
        "iou",
        "f1",
        "precision",
        "recall",
        "expected_calibration_error",
        "threshold",
        "best_epoch",
        "epochs",
    )
)
TRAINED = {**FIGURES, "steps": 9, "minutes": 0.1, "estimate": None, "stopped_by": "steps"}

ADAPTED = {"chosen": "adapted", "is_worse": None, "held_back": None, "samples": {"places": 1}}


@pytest.fixture
def models(module, no_engine, false_engine, tmp_path):
    """The person's models, none yet, on a machine with a false engine; the real one's models are out of sight."""
    false_engine()
    results_of(tmp_path, "train", **TRAINED)
    yield module("processing_provider.engine_home").models_folder()
    QgsSettings().remove("rock_glacier_mapper/last_training")


@pytest.fixture
def samples(tmp_path):
    folder = tmp_path / "alps"
    folder.mkdir()
    (folder / "samples.csv").write_text("sample\n")
    return str(folder)


@pytest.fixture
def ground(tmp_path):
    """A stack and outlines on it."""
    stack = write_raster(tmp_path / "stack.tif", np.full((6, 20, 20), 0.2, np.float32), STACK_BANDS)
    outlines = save(polygon_layer("field=id:int", [(square(600050, 3099850, 80), [1])]), tmp_path / "outlines.gpkg")
    return {"STACKS": [str(stack)], "OUTLINES": str(outlines)}


def job_of(tmp_path):
    return json.loads((tmp_path / "job.json").read_text())


def results_of(tmp_path, command, **result):
    (tmp_path / "results.json").write_text(json.dumps({command: result}))


def refusal(name, parameters):
    with pytest.raises(QgsProcessingException) as caught:
        processing.run(name, parameters, feedback=Listener())
    return str(caught.value)


def a_model(folder):
    folder.mkdir(parents=True)
    (folder / "model.json").write_text("{}")
    return folder


class TestWithoutTheirPackages:
    """An engine without torch."""

    @pytest.fixture
    def engine_alone(self, module, no_engine):
        home = module("processing_provider.engine_home")
        (no_engine / "bin").mkdir(parents=True)
        (no_engine / "bin" / "python").symlink_to("/bin/true")
        (no_engine / "requirements.txt").write_text(home.REQUIREMENTS.read_text())
        return no_engine

    @pytest.mark.parametrize("name", [TRAIN, EXPORT, ADAPT, MINE])
    def test_it_says_so_before_the_run_and_what_to_press(self, plugin, engine_alone, samples, ground, tmp_path, name):
        (tmp_path / "training").mkdir()
        parameters = {
            TRAIN: {"SAMPLES": samples, "OUTPUT": str(tmp_path / "t")},
            EXPORT: {"TRAINING": str(tmp_path / "training")},
            ADAPT: ground,
            MINE: {"SAMPLES": samples, "OUTPUT": str(tmp_path / "m"), **ground},
        }[name]
        told = refusal(name, parameters)
        assert (
            "Training needs more packages" in told
            and "Set up engine…" in told
            and "tick “Also what training needs” and press Update" in told
        )

    def test_with_them_it_runs(self, module, engine_alone):
        home = module("processing_provider.engine_home")
        assert home.why_no_training()
        (engine_alone / "training.txt").write_text("torch==1.0\n")
        assert home.why_no_training() == ""  # an older version: the engine itself says what it lacks

    def test_a_chosen_interpreter_is_taken_at_its_word(self, module, engine_alone, false_engine):
        false_engine()
        assert module("processing_provider.engine_home").why_no_training() == ""


class TestTrain:
    """Train network."""

    def run(self, parameters, listener=None):
        return processing.run(TRAIN, parameters, feedback=listener or Listener())

    def test_what_reaches_the_engine(self, plugin, models, samples, tmp_path):
        given = {"NETWORK": "dednet-hrnet-w18", "RECIPE": "paper", "EPOCHS": 7, "BATCH_SIZE": 3, "LEARNING_RATE": 2e-5, "LOSS": "tversky"}
        options = {"NETWORK_OPTIONS": "output_stride=16\n\n fuse=[1, 2] ", "MINUTES": 1.5, "TENSORBOARD": True, "DEVICE": "cpu", "GPUS": 2}
        self.run({"SAMPLES": samples, "OUTPUT": str(tmp_path / "try"), **given, **options})
        job = job_of(tmp_path)
        assert (job["command"], job["samples"], job["output"], job["model"]) == (
            "train",
            samples,
            str(tmp_path / "try"),
            str(models / "try"),
        )
        assert (job["network"], job["recipe"], job["epochs"], job["batch_size"]) == ("dednet-hrnet-w18", "paper", 7, 3)
        assert (job["learning_rate"], job["loss"], job["minutes"], job["gpus"]) == (2e-5, "tversky", 1.5, 2)
        assert job["network_options"] == ["output_stride=16", "fuse=[1, 2]"]
        assert (job["crop"], job["accumulate"], job["patience"], job["workers"], job["seed"]) == (None, None, None, 0, 1)
        assert (job["start"], job["precision"], job["device"], job["tensorboard"], job["estimate"]) == (
            "imagenet",
            "auto",
            "cpu",
            True,
            False,
        )

    def test_what_is_left_empty_is_as_the_recipe_has_it(self, plugin, models, samples, tmp_path):
        self.run({"SAMPLES": samples, "OUTPUT": str(tmp_path / "try")})
        job = job_of(tmp_path)
        names = ("network", "epochs", "crop", "batch_size", "accumulate", "learning_rate", "loss", "patience", "minutes")
        assert [job[name] for name in names] == [None] * len(names) and job["network_options"] == []

    def test_the_new_model_is_found_at_once(self, algorithm, models, samples, tmp_path, module):
        listener = Listener()
        found = self.run({"SAMPLES": samples, "OUTPUT": str(tmp_path / "try"), "NEW_MODEL": "valais"}, listener)
        assert (found["MODEL_NAME"], found["MODEL_FOLDER"]) == ("valais", str(models / "valais"))
        assert "valais" in module("processing_provider.engine_home").installed_models()
        assert any("called valais" in info for info in listener.infos) and not any("lost" in warning for warning in listener.warnings)
        stack = write_raster(tmp_path / "stack.tif", np.full((6, 20, 20), 0.2, np.float32), STACK_BANDS)
        parameters = {"INPUT": str(stack), "MODEL": "valais", "OUTPUT": "TEMPORARY_OUTPUT"}
        assert algorithm("detectrockglaciers").checkParameterValues(parameters, QgsProcessingContext()) == (True, "")

    def test_figures_that_there_are(self, plugin, models, samples, tmp_path):
        estimate = {"memory_gb": 1.5, "minutes": 12.0}
        figures = {"iou": 0.4, "precision": 0.5, "recall": 0.6, "f1": 0.57, "threshold": 0.3, "best_epoch": 3, "epochs": 5}
        results_of(tmp_path, "train", **TRAINED | figures | {"checkpoint": "best.ckpt", "curves": "c.png", "estimate": estimate})
        found = self.run({"SAMPLES": samples, "OUTPUT": str(tmp_path / "try")})
        assert (found["IOU"], found["PRECISION_OF_CLASS"], found["RECALL_OF_CLASS"], found["F1"]) == (0.4, 0.5, 0.6, 0.57)
        assert (found["CHOSEN_THRESHOLD"], found["BEST_EPOCH"], found["EPOCHS_DONE"], found["STEPS_DONE"]) == (0.3, 3, 5, 9)
        assert (found["EXPECTED_MEMORY"], found["EXPECTED_MINUTES"], found["STOPPED_BY"]) == (1.5, 12.0, "steps")
        assert (found["CHECKPOINT"], found["CURVES"], found["OUTPUT"]) == ("best.ckpt", "c.png", str(tmp_path / "try"))
        assert "METRICS" not in found and "CALIBRATION_ERROR" not in found

    def test_a_model_may_go_into_another_folder(self, plugin, models, samples, tmp_path):
        found = self.run({"SAMPLES": samples, "OUTPUT": str(tmp_path / "try"), "NEW_MODEL": str(tmp_path / "elsewhere" / "mine")})
        assert found["MODEL_NAME"] == found["MODEL_FOLDER"] == str(tmp_path / "elsewhere" / "mine")

    def test_a_temporary_folder_is_warned_of_and_gives_the_model_no_name(self, plugin, models, samples, tmp_path):
        listener = Listener()
        found = self.run({"SAMPLES": samples, "OUTPUT": "TEMPORARY_OUTPUT"}, listener)
        assert any("lost when QGIS closes" in warning for warning in listener.warnings) and found["MODEL_NAME"] == "alps"

    def test_its_curves_are_the_ones_that_are_shown(self, plugin, models, samples, tmp_path):
        listener = Listener()
        self.run({"SAMPLES": samples, "OUTPUT": str(tmp_path / "try")}, listener)
        assert QgsSettings().value("rock_glacier_mapper/last_training") == str(tmp_path / "try")
        assert any("Training curves" in info for info in listener.infos)

    @pytest.mark.parametrize(
        ("start", "reaches"), [("random", "random"), ("dednet-compact", "bundled"), ("mine", "models"), ("a folder", "a folder")]
    )
    def test_where_it_starts(self, plugin, models, samples, tmp_path, module, start, reaches):
        bundled = module("processing_provider.engine_home").BUNDLED_MODELS / "dednet-compact"
        (tmp_path / "a folder").mkdir()
        a_model(models / "mine")
        places = {"bundled": str(bundled), "models": str(models / "mine"), "a folder": str(tmp_path / "a folder"), "random": "random"}
        given = str(tmp_path / start) if start == "a folder" else start
        self.run({"SAMPLES": samples, "OUTPUT": str(tmp_path / "try"), "START": given})
        assert job_of(tmp_path)["start"] == places[reaches]

    def test_a_mere_estimate_makes_no_model_and_forgets_nothing(self, plugin, models, samples, tmp_path):
        a_model(models / "try")
        self.run({"SAMPLES": samples, "OUTPUT": str(tmp_path / "try"), "ESTIMATE": True})
        job = job_of(tmp_path)
        assert job["estimate"] and job["model"] is None
        assert QgsSettings().value("rock_glacier_mapper/last_training") is None

    def test_a_finished_training_may_write_its_model_again_another_one_not(self, plugin, models, samples, tmp_path):
        parameters = {"SAMPLES": samples, "OUTPUT": str(tmp_path / "try")}
        a_model(models / "try")
        assert "There is a model try already" in refusal(TRAIN, parameters)
        (tmp_path / "try").mkdir()
        (tmp_path / "try" / "training.json").write_text("{}")
        assert "There is a model try already" in refusal(TRAIN, parameters)
        (tmp_path / "try" / "metrics.json").write_text("{}")
        assert self.run(parameters)["MODEL_NAME"] == "try"

    @pytest.mark.parametrize(
        ("given", "words"),
        [
            ({"SAMPLES": "nowhere"}, "holds no training samples"),
            ({"START": "no such model"}, "START: there is no no such model"),
            ({"NETWORK_OPTIONS": "output_stride"}, "not of the form NAME=JSON"),
            ({"NEW_MODEL": "dednet-compact"}, "There is a model dednet-compact already"),
            ({"NEW_MODEL": "a/b"}, "neither a name nor the full path"),
            ({"NEW_MODEL": "what?"}, "can be no name"),
            ({"BATCH_SIZE": 1}, "BATCH_SIZE"),
            ({"RECIPE": "secret"}, "RECIPE"),
            ({"LOSS": "hinge"}, "LOSS"),
        ],
    )
    def test_what_cannot_be_is_refused(self, plugin, models, samples, tmp_path, given, words):
        assert words in refusal(TRAIN, {"SAMPLES": samples, "OUTPUT": str(tmp_path / "try"), **given})
        assert not (tmp_path / "job.json").exists()

    def test_the_log_has_a_line_for_each_epoch(self, module):
        feedback = Listener()
        conversation = module("processing_provider.engine_process").Conversation(feedback)
        for text in (
            "Epoch 1, loss 0.7",
            "Epoch 1, loss 0.6",
            "Epoch 2 of 9, loss 0.5, 3 min left",
            "Epoch 2 of 9, loss 0.4, 2 min left",
            "tile 1 of 2",
            "tile 2 of 2",
        ):
            conversation._take(json.dumps({"type": "progress", "percent": 1, "text": text}).encode())
        assert feedback.doing == ["Epoch 1, loss 0.7", "Epoch 2 of 9, loss 0.5, 3 min left", "tile 1 of 2"]


class TestForReal:
    """With the installed engine, where it has the packages for training."""

    @pytest.fixture
    def chips(self, engine, module, tmp_path, monkeypatch):
        """Folders of sixteen pictures of 32 x 32 pixels, brighter where the mask says rock glacier; the models of this machine stay."""
        home = module("processing_provider.engine_home")
        if home.training_state() is not home.EngineState.READY:
            pytest.skip(home.why_no_training() or "The packages for training are of another version.")
        monkeypatch.setattr(home, "models_folder", lambda: tmp_path / "models")
        for name in ("training_algorithm", "adapt_model", "model_algorithm", "export_network"):
            monkeypatch.setattr(module(f"processing_provider.{name}"), "models_folder", home.models_folder)
        random = np.random.default_rng(1)
        for number in range(16):
            mask = np.zeros((1, 32, 32), np.uint8)
            mask[0, 4 : 12 + number, 6:24] = 1
            for folder, pixels in (("images", random.integers(20, 90, (3, 32, 32)) + 120 * mask), ("masks", mask)):
                (tmp_path / folder).mkdir(exist_ok=True)
                write_chip(tmp_path / folder / f"{number}.png", pixels.astype(np.uint8))
        yield {"IMAGES": str(tmp_path / "images"), "MASKS": str(tmp_path / "masks")}
        QgsSettings().remove("rock_glacier_mapper/last_training")

    def test_from_chips_to_a_detection(self, plugin, chips, module, tmp_path):
        samples, training = str(tmp_path / "samples"), str(tmp_path / "small")
        processing.run("rockglacier:preparetrainingsamples", {**chips, "OUTPUT": samples}, feedback=Listener())
        listener = Listener()
        few = {"EPOCHS": 2, "CROP": 32, "BATCH_SIZE": 4, "DEVICE": "cpu"}
        found = processing.run(TRAIN, {"SAMPLES": samples, "OUTPUT": training, **few}, feedback=listener)
        assert (found["EPOCHS_DONE"], found["MODEL_NAME"], found["STOPPED_BY"], found["DEVICE_USED"]) == (2, "small", "steps", "CPU")
        assert 0 <= found["IOU"] <= 1 and 0 < found["EXPECTED_MEMORY"] < 20
        epochs = [text for text in listener.doing if text.startswith("Epoch")]
        assert epochs and "loss" in epochs[-1]
        log = module("dialogs.training_log").read_training(tmp_path / "small")
        assert len(log.steps["loss"]) == found["STEPS_DONE"] == log.planned[0] and len(log.epochs["iou"]) == 2 and log.is_done
        half = processing.run(EXPORT, {"TRAINING": training, "PRECISION": "fp16"}, feedback=Listener())
        assert half["MODEL_NAME"] == "small-fp16" and 1 < half["SIZE_MB"] < 8
        stack = write_raster(tmp_path / "stack.tif", np.full((6, 40, 40), 0.2, np.float32), STACK_BANDS)
        for model in ("small", "small-fp16"):
            parameters = {"INPUT": str(stack), "MODEL": model, "OUTPUT": str(tmp_path / f"{model}.gpkg"), "DEVICE": "cpu"}
            assert processing.run("rockglacier:detectrockglaciers", parameters, feedback=Listener())["TILES"] > 0


class TestExport:
    """Export network."""

    @pytest.fixture
    def training(self, models, tmp_path):
        folder = tmp_path / "valais"
        (folder / "checkpoints").mkdir(parents=True)
        (folder / "checkpoints" / "previous.ckpt").touch()
        results_of(tmp_path, "export", size_mb=2.9, threshold=0.4, evaluated=12)
        return folder

    def run(self, parameters):
        return processing.run(EXPORT, parameters, feedback=Listener())

    def test_what_reaches_the_engine(self, plugin, models, training, samples, tmp_path):
        texts = {"TITLE": "Valais at 10 m", "LICENCE": "CC-BY-4.0", "VERSION": "2.0"}
        found = self.run({"TRAINING": str(training), "PRECISION": "int8", "SAMPLES": samples, "THRESHOLD": 0.4, **texts})
        job = job_of(tmp_path)
        assert (job["command"], job["checkpoint"], job["output"]) == ("export", str(training), str(models / "valais-int8"))
        assert (job["precision"], job["samples"], job["threshold"]) == ("int8", samples, 0.4)
        assert (job["title"], job["licence"], job["version"]) == tuple(texts.values())
        assert found["MODEL_NAME"] == "valais-int8"
        assert (found["SIZE_MB"], found["CHOSEN_THRESHOLD"], found["EVALUATED"]) == (2.9, 0.4, 12)

    def test_a_checkpoint_instead_and_a_name_that_is_taken(self, plugin, models, training, tmp_path):
        a_model(models / "valais")
        found = self.run({"CHECKPOINT": str(training / "checkpoints" / "previous.ckpt")})
        assert job_of(tmp_path)["checkpoint"].endswith("previous.ckpt") and found["MODEL_NAME"] == "valais-2"

    @pytest.mark.parametrize(
        ("given", "words"),
        [
            ((), "either TRAINING"),
            (("TRAINING", "CHECKPOINT"), "either TRAINING"),
            (("LOST",), "there is no"),
            (("TRAINING", "int8"), "give SAMPLES"),
            (("TRAINING", "THRESHOLD"), "lies between 0 and 1"),
            (("TRAINING", "NEW_MODEL"), "There is a model valais already"),
        ],
    )
    def test_what_does_not_go_together_is_refused(self, plugin, models, training, given, words):
        a_model(models / "valais")
        values = {
            "TRAINING": {"TRAINING": str(training)},
            "LOST": {"TRAINING": str(training / "lost")},
            "CHECKPOINT": {"CHECKPOINT": str(training / "checkpoints" / "previous.ckpt")},
            "int8": {"PRECISION": "int8"},
            "THRESHOLD": {"THRESHOLD": 1.0},
            "NEW_MODEL": {"NEW_MODEL": "valais"},
        }
        assert words in refusal(EXPORT, {name: value for key in given for name, value in values[key].items()})


class TestAdapt:
    """Adapt model to your area."""

    def test_what_reaches_the_engine(self, plugin, models, ground, tmp_path, qgis_new_project):
        layer = QgsRasterLayer(ground["STACKS"][0], "stack")
        QgsProject.instance().addMapLayer(layer)
        held_back = {name: {"rock_glacier": {"iou": iou}} for name, iou in (("before", 0.4), ("after", 0.5))}
        results_of(tmp_path, "adapt", **ADAPTED | {"is_worse": True, "held_back": held_back})
        found = processing.run(ADAPT, {**ground, "STACKS": [layer], "MINUTES": 3, "DEVICE": "cpu"}, feedback=Listener())
        job = job_of(tmp_path)
        assert (job["command"], job["stacks"], job["outlines"]) == ("adapt", ground["STACKS"], ground["OUTLINES"])
        assert (job["model"], job["models_folders"], job["output"]) == ("", [str(models)], str(models / "dednet-compact-adapted"))
        assert (job["minutes"], job["device"], job["seed"], job["images"], job["json"]) == (3.0, "cpu", 1, None, None)
        assert found["MODEL_NAME"] == "dednet-compact-adapted" and found["IS_WORSE"] is True
        assert (found["OLD_IOU"], found["NEW_IOU"], found["PLACES"], found["CHOSEN"]) == (0.4, 0.5, 1, "adapted")

    def test_the_second_one_gets_a_number_and_one_of_an_adapted_one_its_name(self, plugin, models, ground, tmp_path):
        results_of(tmp_path, "adapt", **ADAPTED)
        names = [
            processing.run(ADAPT, {**ground, "MODEL": model}, feedback=Listener())["MODEL_NAME"]
            for model in ("", "", "dednet-compact-adapted")
        ]
        assert names == ["dednet-compact-adapted", "dednet-compact-adapted-2", "dednet-compact-adapted-adapted"]

    def test_chips(self, plugin, models, tmp_path):
        results_of(tmp_path, "adapt", **ADAPTED)
        chips = {"IMAGES": str(tmp_path), "MASKS": str(tmp_path), "NEGATIVE_IMAGES": str(tmp_path)}
        found = processing.run(ADAPT, {**chips, "JSON": str(tmp_path / "a.json")}, feedback=Listener())
        job = job_of(tmp_path)
        assert "IS_WORSE" not in found and "OLD_IOU" not in found  # of one place, nothing can be held back
        assert (job["images"], job["negatives"], job["stacks"], job["outlines"]) == (str(tmp_path), str(tmp_path), [], None)
        assert job["json"] == str(tmp_path / "a.json")

    @pytest.mark.parametrize(
        ("given", "words"),
        [
            ((), "Give STACKS and OUTLINES"),
            (("STACKS",), "Give STACKS and OUTLINES"),
            (("IMAGES",), "IMAGES and MASKS"),
            (("STACKS", "OUTLINES", "IMAGES"), "not both"),
            (("STACKS", "OUTLINES", "MODEL"), "There is no model"),
            (("STACKS", "OUTLINES", "NEW_MODEL"), "There is a model dednet-compact already"),
        ],
    )
    def test_what_does_not_go_together_is_refused(self, plugin, models, ground, tmp_path, given, words):
        values = {**ground, "IMAGES": str(tmp_path), "MODEL": "none such", "NEW_MODEL": "dednet-compact"}
        assert words in refusal(ADAPT, {name: values[name] for name in given})


class TestMine:
    """Mine hard negatives."""

    RESULT = {
        "samples": "s",
        "rounds": [{}, {}, {}],
        "reason_text": "all rounds are used up",
        "best_round": 1,
        "best_model": "m",
        "iou": 0.5,
        "negatives": 7,
        "table": "rounds.csv",
        "hard_negatives": None,
        "contact_sheet": None,
    }

    def test_what_reaches_the_engine_and_what_comes_back(self, plugin, models, samples, ground, tmp_path):
        results_of(tmp_path, "mine_hard_negatives", **self.RESULT)
        listener = Listener()
        parameters = {"SAMPLES": samples, **ground, "AREAS": ground["OUTLINES"], "MODEL": "dednet-compact", "ROUNDS": 2, "PER_ROUND": 9}
        found = processing.run(MINE, {**parameters, "OUTPUT": str(tmp_path / "mining")}, feedback=listener)
        job = job_of(tmp_path)
        assert (job["command"], job["samples"], job["output"]) == ("mine_hard_negatives", samples, str(tmp_path / "mining"))
        assert (job["stacks"], job["outlines"], job["areas"]) == (ground["STACKS"], ground["OUTLINES"], ground["OUTLINES"])
        assert job["model"].endswith("bundled/dednet-compact") and (job["rounds"], job["per_round"], job["target_iou"]) == (2, 9, 0.8)
        assert (job["margin"], job["min_area"], job["epochs"], job["network"]) == (100.0, 22000.0, None, None)
        assert (found["IOU"], found["BEST_ROUND"], found["ROUNDS_DONE"], found["NEGATIVES"]) == (0.5, 1, 2, 7)
        assert (found["MODEL_FOLDER"], found["GROWN_SAMPLES"], found["REASON"]) == ("m", "s", "all rounds are used up")
        assert "HARD_NEGATIVES" not in found and any("all rounds are used up" in info for info in listener.infos)
        assert any("best round is in m." in info for info in listener.infos)
        assert QgsSettings().value("rock_glacier_mapper/last_training") == str(tmp_path / "mining")

    def test_a_network_that_stays_the_best_is_told(self, plugin, models, samples, ground, tmp_path):
        results_of(tmp_path, "mine_hard_negatives", **self.RESULT | {"best_round": 0})
        listener = Listener()
        parameters = {"SAMPLES": samples, **ground, "MODEL": "dednet-compact", "OUTPUT": str(tmp_path / "mining")}
        processing.run(MINE, parameters, feedback=listener)
        assert "No round did better than the network that searched first." in listener.infos

    def test_what_was_mined_is_to_be_looked_at(self, plugin, models, samples, ground, tmp_path):
        results_of(tmp_path, "mine_hard_negatives", **self.RESULT | {"hard_negatives": ground["OUTLINES"]})
        listener = Listener()
        found = processing.run(MINE, {"SAMPLES": samples, **ground, "OUTPUT": str(tmp_path / "mining")}, feedback=listener)
        assert found["HARD_NEGATIVES"] == ground["OUTLINES"] and any("set use to 0" in info for info in listener.infos)
        assert job_of(tmp_path)["model"] is None and job_of(tmp_path)["areas"] is None

    @pytest.mark.parametrize(
        ("given", "words"),
        [
            ({"SAMPLES": "nowhere"}, "holds no training samples"),
            ({"MODEL": "none such"}, "MODEL: there is no none such"),
            ({"TARGET_IOU": 1.5}, "TARGET_IOU"),
            ({"STACKS": []}, "STACKS"),
        ],
    )
    def test_what_cannot_be_is_refused(self, plugin, models, samples, ground, tmp_path, given, words):
        assert words in refusal(MINE, {"SAMPLES": samples, **ground, "OUTPUT": str(tmp_path / "mining"), **given})
