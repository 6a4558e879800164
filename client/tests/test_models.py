"""``log_model`` without the libraries that it needs."""

import sys

import pytest
import scoter_client


@pytest.mark.parametrize("name", ["pandas", "skl2onnx"])
def test_it_says_what_to_install(monkeypatch, name):
    pandas = pytest.importorskip("pandas")
    sample = pandas.DataFrame({"x": [1.0]})
    monkeypatch.setitem(sys.modules, name, None)

    class Model:
        def predict(self, frame):
            return frame["x"].to_numpy()

    if name == "skl2onnx":
        pytest.importorskip("onnx")
    with pytest.raises(ImportError, match=f"{name}: pip install 'scoter-client\\[models\\]'"):
        scoter_client.log_model(None, "m", Model(), sample=sample)
