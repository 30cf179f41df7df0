import subprocess
import sys

_START = """
import sys
from expt.train.backend import start_tensorflow
start_tensorflow(0)
print([name for name in ("matplotlib.pyplot", "pandas", "sklearn") if name in sys.modules])
import keras, matplotlib.pyplot, numpy, pandas, sklearn.base
print(pandas.DataFrame({"a": [1]}).shape, callable(matplotlib.pyplot.plot))
model = keras.Sequential([keras.layers.Dense(1)])
print(model.predict(numpy.ones((2, 3)), verbose=0).shape)
try:
    keras.wrappers.SKLearnClassifier(model)
except ImportError as error:
    print("scikit-learn" in str(error) or "sklearn" in str(error))
"""


def test_keras_is_imported_without_packages_that_expt_does_not_need() -> None:
    # In a process of its own, since this one has imported them.
    done = subprocess.run([sys.executable, "-c", _START], capture_output=True, text=True)
    assert done.stdout.splitlines() == ["[]", "(1, 1) True", "(2, 1)", "True"], done.stderr
