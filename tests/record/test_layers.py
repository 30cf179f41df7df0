from pathlib import Path

from expt.record.layers import read_layers, write_layers


def test_table_has_a_row_per_layer_and_the_sum(tmp_path: Path) -> None:
    write_layers(
        tmp_path,
        [
            {
                "name": "inputs",
                "type": "InputLayer",
                "output_shape": [None, 8, 8, 1],
                "parameters": 0,
            },
            {"name": "dense", "type": "Dense", "output_shape": [None, 10], "parameters": 1650},
            {"name": "other", "type": "Mine", "output_shape": None, "parameters": 7},
        ],
    )
    assert read_layers(tmp_path).splitlines() == [
        "| layer | type | output shape | parameters |",
        "| --- | --- | --- | ---: |",
        "| inputs | InputLayer | 8x8x1 | 0 |",
        "| dense | Dense | 10 | 1,650 |",
        "| other | Mine |  | 7 |",
        "| all |  |  | 1,657 |",
    ]
