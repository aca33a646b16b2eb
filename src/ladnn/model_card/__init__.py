"""The papers that go with a bundle: model card, datasheet, CLAIM and TRIPOD+AI checklists."""
