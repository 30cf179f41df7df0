"""From raw values to named predictions: what a saved model needs beside itself to be served."""
