"""Model card, datasheet and checklists: filled where the files can answer, open where not."""

import json
import string
from dataclasses import fields, replace

import pytest
from typer.testing import CliRunner

from bundles import tiny_bundle, tiny_card
from ladnn.audit import examination, labels
from ladnn.augmentation import Augmentation
from ladnn.bundle import find_bundle, read_card
from ladnn.cli import app
from ladnn.csvs import packaged
from ladnn.errors import DataError
from ladnn.evaluation import SCHEMA_VERSION
from ladnn.findings import RESEARCH_NOTICE
from ladnn.model_card.documents import OPEN, documents, markdown, write_documents
from ladnn.model_card.facts import AUDIT_VERSION, collections, facts

ESTIMATE = {"value": 0.8, "low": 0.7, "high": 0.9, "reason": None}
COVID = {"auc": ESTIMATE, "at": {"0.5": {"sensitivity": ESTIMATE, "specificity": ESTIMATE}}}
GROUP = {"images": 9, "patients": 4, "covid": {"per_image": COVID, "per_patient": COVID}}


def metrics(card):
    return {
        "schema_version": SCHEMA_VERSION,
        "model": {"sha256": card.sha256},
        "split": "test",
        "images": {"listed": 9, "evaluated": 9, "failed": 0},
        "sources": {"covid-ct": GROUP},
    }


def audit(card):
    answer = {"key": "lungs", "findings": ["here, lungs blanked: the model's AUC is .510."]}
    return {**_head(card), "plan": {"split": "test"}, "answers": [answer]}


def _head(card):
    return {"schema_version": AUDIT_VERSION, "model": {"sha256": card.sha256}}


def test_the_card_of_default_tells_its_two_squares_its_measured_channel_and_mixed_styles():
    found = facts(read_card(find_bundle("default")))
    assert "in the frame lungpair-1, 512 rows of 256 pixels" in found["input"]
    assert "In 1 of 2 one channel is measured and not learned" in found["architecture"]
    assert "styles mixed between images within the network" in found["training"]


def test_the_card_of_paper_d0_tells_of_no_measured_channel():
    found = facts(read_card(find_bundle("paper-d0")))
    assert "288 rows of 288 pixels" in found["input"]
    assert "measured" not in found["architecture"]
    assert "styles" not in found["training"]


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"eight_bits": {"convolutions": 39}}, "in float32, 39 convolutions in 8 bits."),
        ({"eight_bits": "damaged"}, "in float32."),
        ({}, "in float32."),
    ],
)
def test_convolutions_in_8_bits_are_told_beside_the_precision(said, words):
    assert facts(tiny_card(b"", training=said))["software"].endswith(words)


def test_the_documents_need_no_place_but_the_folder(tmp_path, writable_within):
    writable_within(tmp_path)
    made = write_documents({}, "tiny 1", tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {f"{one.name}.md" for one in made}


def text(name, found):
    document = next(one for one in documents(found) if one.name == name)
    return markdown(document, "tiny 1")


def test_there_are_a_card_a_datasheet_and_both_checklists_in_full():
    sizes = {one.name: len(one.entries) for one in documents({})}
    assert sizes == {"model_card": 26, "datasheet": 17, "claim": 44, "tripod_ai": 52}


def test_without_facts_every_item_is_open():
    assert [one.answered for one in documents({})] == [0, 0, 0, 0]


def test_an_open_item_can_be_seen():
    said = text("claim", facts(tiny_card(b"")))
    assert "- [ ] **44. Funding and the role of funders**" in said
    assert said.count(OPEN) == said.count("- [ ]")


def test_every_question_asks_for_facts_that_exist():
    """A misspelt name in a table would leave its item open for ever."""
    card = read_card(find_bundle("default"))
    every = facts(card, metrics(card), full_audit(card))
    assert missing_names(every) == set()


def full_audit(card):
    keys = ("leaks", "subgroups", "outside", "lungs", "sensitivity", "mistakes", "labels")
    answers = [{"key": key, "findings": [f"{key}."]} for key in (*keys, "performance")]
    return {**_head(card), "answers": answers}


def missing_names(every):
    names = set()
    for document in documents({}):
        for row in packaged(document.name):
            names |= {name for _, name, _, _ in string.Formatter().parse(row["answer"]) if name}
    return names - every.keys()


def test_results_and_audit_answer_what_the_card_cannot():
    card = tiny_card(b"")
    alone, more = facts(card), facts(card, metrics(card), audit(card))
    assert OPEN in text("model_card", alone).split("**19. Test**")[1][:80]
    assert "AUC 0.800 (0.700 to 0.900) per image" in text("model_card", more)
    assert "the model's AUC is .510" in text("model_card", more)


def test_internal_data_are_of_what_the_model_learned_from():
    card = tiny_card(b"", metrics={"sources": {"covid-ct": GROUP}})
    both = {**metrics(card), "sources": {"covid-ct": GROUP, "elsewhere": GROUP}}
    found = facts(card, both)
    assert "elsewhere" in found["test"]
    assert "covid-ct: AUC" in found["internal"]
    assert "elsewhere" not in found["internal"]
    assert "internal" not in facts(card, {**both, "sources": {"elsewhere": GROUP}})


def test_items_that_nothing_measured_stay_open():
    """Subgroups and AUCs of sources say neither who the patients were nor how the data differ."""
    card = read_card(find_bundle("default"))
    found = documents(facts(card, metrics(card), full_audit(card)))
    still = {one.name: {e.number for e in one.entries if e.answer is None} for one in found}
    assert {"10", "36", "42"} <= still["claim"]
    assert {"16", "20b", "20c", "27b"} <= still["tripod_ai"]


def test_measures_are_named_where_measures_are_asked_for():
    assert "average precision" in text("claim", facts(tiny_card(b""))).split("**28. ")[1][:200]


@pytest.mark.parametrize(
    ("select", "words"),
    [("last", "The last epoch."), ("auc", "The epoch with the best auc on validation.")],
)
def test_how_the_weights_were_chosen_is_said(select, words):
    card = tiny_card(b"", training={"members": [{"config": {"select": select}}]})
    assert facts(card)["selection"] == words


def trained(*runs):
    return facts(tiny_card(b"", training={"members": [{"config": run} for run in runs]}))


@pytest.mark.parametrize(
    ("selects", "words"),
    [
        (["last", "last"], " Thresholds are chosen on validation."),
        (["last", "auc"], " Weights and thresholds are chosen on validation."),
        ([], " Thresholds are chosen on validation."),
    ],
)
def test_weights_are_said_to_be_chosen_on_validation_only_where_a_run_did(selects, words):
    found = trained(*({"select": select} for select in selects))
    assert found["partitions"].endswith(words)
    assert "on which thresholds were chosen, and weights where 17 says so" in text(
        "model_card", found
    )


NOTHING = dict.fromkeys((item.name for item in fields(Augmentation)), 0.0)
RECIPE = {"mixup": 0.0, "style_mix": 0.0, "augmentation": NOTHING}


def test_only_what_training_did_to_images_is_said():
    authors = {**RECIPE, "augmentation": {**NOTHING, "zoom": 0.2, "shear": 0.2, "flip": 0.5}}
    assert trained(authors)["training"].endswith(" Augmented in geometry.")
    assert trained(RECIPE)["training"].endswith(" Not augmented.")
    assert trained({**RECIPE, "mixup": 0.4})["training"].endswith(
        " Augmented with images mixed in pairs."
    )
    assert "ugmented" not in trained({})["training"]


def test_what_one_network_alone_learned_from_is_said_of_that_one():
    marked = {**RECIPE, "augmentation": {**NOTHING, "flip": 0.5, "marks": 0.1}}
    plain = {**RECIPE, "augmentation": {**NOTHING, "flip": 0.5}}
    assert trained(marked, plain)["training"].endswith(
        " Augmented in geometry, marks (in 1 of 2 networks)."
    )


def test_every_setting_of_an_augmentation_is_told():
    for name in NOTHING:
        run = {**RECIPE, "augmentation": {**NOTHING, name: 0.1}}
        assert " Augmented " in trained(run)["training"], name


def test_the_shipped_models_say_how_their_images_were_altered():
    for name, painted in (("default", True), ("paper-d0", False)):
        said = facts(read_card(find_bundle(name)))["training"]
        assert (
            "Augmented in geometry, grey levels, resolution, sharpness, noise, compression, marks, "
            "erased rectangles, with " in said
        )
        assert ("opacities painted into negatives, painted nodules" in said) == painted
        assert "images mixed in pairs" in said


@pytest.mark.parametrize(
    ("training", "words"),
    [
        ({"members": [{"config": {"sources": ["covid-ct"]}}]}, "covid-ct (those alone)."),
        ({"members": [{"config": {}}], "sources": ["a", "b"]}, "a, b (those alone)."),
        ({"members": [{"config": {}}]}, "sarscov2-ct (and whatever else its training manifest"),
    ],
)
def test_collections_that_validation_alone_had_are_no_training_data_of_a_limited_run(
    training, words
):
    card = tiny_card(b"", training=training, metrics={"sources": {"sarscov2-ct": GROUP}})
    assert facts(card)["training_data"].startswith(f"The training split of {words}")


@pytest.mark.parametrize(
    ("name", "words"),
    [("default", "as chosen on validation."), ("paper-d0", "had too few patients to choose.")],
)
def test_whether_validation_chose_the_rule_of_patients_is_said(name, words):
    assert facts(read_card(find_bundle(name)))["patients"].endswith(words)


def test_every_document_says_that_it_is_for_research():
    found = facts(tiny_card(b""))
    assert all(RESEARCH_NOTICE in markdown(one, "tiny 1") for one in documents(found))


def test_a_baseline_judges_no_lesion():
    found = facts(tiny_card(b"", "baseline"))
    assert found["lesions"] == "Not judged by this model."
    assert "opacity" not in found["outputs"]


def test_lesions_without_examples_are_named():
    assert "CrPa, AirBr, InSepThi" in facts(tiny_card(b""))["lesions"]


@pytest.mark.parametrize(
    ("targets", "words"),
    [("all", "counted as absent"), ("labelled", "from images with a labelled")],
)
def test_what_unlabelled_lesions_taught_is_said(targets, words):
    card = tiny_card(b"", training={"members": [{"config": {"lesion_targets": targets}}]})
    assert words in facts(card)["training"]
    assert words in facts(card)["missing"]


def test_the_shipped_models_say_that_lesions_of_negatives_were_taken_as_absent():
    for name in ("default", "paper-d0"):
        assert "counted as absent" in facts(read_card(find_bundle(name)))["training"]


def test_a_collection_that_nobody_described_says_nothing():
    card = tiny_card(b"", metrics={"sources": {"elsewhere": GROUP}})
    assert "collections" not in facts(card)


def test_beside_a_known_collection_one_that_nobody_described_is_named():
    card = tiny_card(b"", metrics={"sources": {"covid-ct": GROUP, "elsewhere": GROUP}})
    found = facts(card)
    assert "elsewhere: not known here." in found["collections"]
    assert "design" not in found


def test_the_collections_of_the_importers_are_described():
    assert set(collections()) == {"covid-ct", "covid-ct-new", "sarscov2-ct"}


class TestCommand:
    def call(self, tmp_path, *options):
        bundle = tiny_bundle(tmp_path)
        folder = tmp_path / "papers"
        arguments = ["model", "card", str(bundle), "-o", str(folder), *map(str, options)]
        return folder, CliRunner().invoke(app, arguments)

    def test_writes_four_documents_and_says_how_much_is_answered(self, tmp_path):
        folder, done = self.call(tmp_path)
        assert done.exit_code == 0, done.output
        names = {path.name for path in folder.iterdir()}
        assert names == {"model_card.md", "datasheet.md", "claim.md", "tripod_ai.md"}
        assert "of 44 items answered" in done.output

    def test_refuses_the_results_of_another_model(self, tmp_path):
        path = tmp_path / "metrics.json"
        path.write_text(json.dumps(metrics(tiny_card(b"another"))), encoding="utf-8")
        folder, done = self.call(tmp_path, "--results", path)
        assert isinstance(done.exception, DataError)
        assert "of another model" in str(done.exception)
        assert not folder.exists()

    @pytest.mark.parametrize("content", ["", "[]", '{"a": 1}'])
    def test_refuses_a_file_that_is_no_result(self, tmp_path, content):
        path = tmp_path / "audit.json"
        path.write_text(content, encoding="utf-8")
        _, done = self.call(tmp_path, "--audit", path)
        assert isinstance(done.exception, DataError)

    def test_refuses_results_of_another_split_and_files_that_were_swapped(self, tmp_path):
        card = read_card(tiny_bundle(tmp_path))
        results, examined = tmp_path / "metrics.json", tmp_path / "audit.json"
        results.write_text(json.dumps({**metrics(card), "split": "val"}), encoding="utf-8")
        examined.write_text(json.dumps(audit(card)), encoding="utf-8")
        for options, said in (
            (("--results", results), "is of the val split, which is no test"),
            (("--results", examined), "is no result of `ladnn evaluate`"),
            (("--audit", results), "is no result of `ladnn audit`"),
        ):
            _, done = self.call(tmp_path, *options)
            assert isinstance(done.exception, DataError)
            assert said in str(done.exception)

    @pytest.mark.parametrize(
        ("option", "changes", "said"),
        [
            ("--results", {"schema_version": 1}, "has schema version 1 and this ladnn reads 2"),
            ("--results", {"images": None}, "does not hold what `ladnn evaluate` writes"),
            ("--results", {"sources": []}, "does not hold what `ladnn evaluate` writes"),
            ("--results", {"sources": {"a": {}}}, "does not hold what `ladnn evaluate` writes"),
            ("--results", {"model": None}, "is of another model"),
            ("--audit", {"plan": {"split": "train"}}, "is of the train split, which is no test"),
            ("--audit", {"plan": None}, "does not hold what `ladnn audit` writes"),
            ("--audit", {"answers": []}, "is without an answer"),
            ("--audit", {"schema_version": 2}, "has schema version 2 and this ladnn reads 1"),
            ("--audit", {"answers": ["lungs"]}, "does not hold what `ladnn audit` writes"),
            ("--audit", {"answers": [{"key": "lungs"}]}, "does not hold what `ladnn audit` writes"),
        ],
    )
    def test_refuses_a_file_of_another_version_or_damaged(self, tmp_path, option, changes, said):
        card = read_card(tiny_bundle(tmp_path))
        whole = metrics(card) if option == "--results" else audit(card)
        path = tmp_path / "file.json"
        path.write_text(json.dumps({**whole, **changes}), encoding="utf-8")
        _, done = self.call(tmp_path, option, path)
        assert isinstance(done.exception, DataError)
        assert said in str(done.exception)

    @pytest.mark.parametrize(
        ("key", "fact", "findings"),
        [
            ("outside", "outside", ["Not answered: every image is of a source."]),
            ("outside", "outside", ["Not answered: none is known.", "Nothing is concluded."]),
            ("labels", "label_errors", ["Not asked: fewer than 5 images of a class."]),
        ],
    )
    def test_leaves_open_what_an_audit_left_open(self, key, fact, findings):
        card = tiny_card(b"")
        left = {"key": key, "findings": findings}
        found = facts(card, audit={**audit(card), "answers": [left]})
        assert fact not in found

    def test_leaves_open_what_an_audit_says_of_labels_of_one_class(self):
        card = tiny_card(b"")
        asked = labels.answer([], held_out=True)
        found = facts(card, audit={**audit(card), "answers": [asked.to_json()]})
        assert "label_errors" not in found

    def test_says_that_an_interval_of_one_value_is_none(self):
        flat = {**ESTIMATE, "low": 0.8, "high": 0.8}
        card = tiny_card(b"")
        group = {**GROUP, "covid": {"per_image": {**COVID, "auc": flat}}}
        found = facts(card, {**metrics(card), "sources": {"covid-ct": group}})
        assert "covid-ct: AUC 0.800 (no spread) per image" in found["test"]

    @pytest.mark.parametrize(
        "changes",
        [
            {"metrics": {"sources": {"covid-ct": {"images": 9}}}},
            {"metrics": {"sources": ["covid-ct"]}},
            {"metrics": {"sources": {"a": {**GROUP, "covid": {"per_image": {"auc": ".8"}}}}}},
            {"training": {"members": [{"config": {}}], "sources": [["covid-ct"]]}},
        ],
    )
    def test_refuses_a_card_whose_free_objects_are_damaged(self, changes):
        with pytest.raises(DataError, match=r"card\.json does not hold what `ladnn export` writes"):
            facts(replace(tiny_card(b""), **changes))

    def test_reads_audits_of_the_version_that_is_written(self):
        assert AUDIT_VERSION == examination.SCHEMA_VERSION

    def test_does_not_overwrite_what_stands_in_the_folder(self, tmp_path):
        (tmp_path / "papers").mkdir()
        (tmp_path / "papers" / "claim.md").write_text("filled in by hand", encoding="utf-8")
        folder, done = self.call(tmp_path)
        assert "--force" in str(done.exception)
        assert (folder / "claim.md").read_text(encoding="utf-8") == "filled in by hand"
