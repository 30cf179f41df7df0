// Images: a slider sets the step of a whole row; a click enlarges an image, with a separate slider.
const viewer = document.getElementById("viewer");
const [viewerText, viewerImage] = [viewer.querySelector("p"), viewer.querySelector("img")];
const viewerSlider = viewer.querySelector("input"), viewerOutput = viewer.querySelector("output");
let viewed = null;

// The last step up to the given one, or the first if there is none.
function stepAt(steps, step) {
  return steps.filter((one) => one <= step).at(-1) ?? steps[0];
}

class ImageSeries {
  constructor(figure, sources) {
    this.image = figure.querySelector("img");
    this.at = figure.querySelector(".at");
    this.caption = this.at.previousSibling.textContent;
    this.steps = Object.keys(sources).map(Number).sort((one, other) => one - other);
    this.sources = sources;
    // The image shown at first is in the page itself, not in the data.
    if (this.image) this.sources[this.at.dataset.step] = this.image.src;
  }

  show(step) {
    const shown = stepAt(this.steps, step);
    this.at.dataset.step = shown;
    this.at.textContent = shown === step ? "" : `, step ${shown}`;
    if (this.image) this.image.src = this.sources[shown];
  }

  // Shows the image in the viewer, whose step is independent of the row's.
  view(step) {
    const shown = stepAt(this.steps, step);
    viewerText.textContent = `${this.title}: ${this.caption}`;
    viewerSlider.max = this.steps.length - 1;
    viewerSlider.value = this.steps.indexOf(shown);
    viewerSlider.disabled = this.steps.length < 2;
    viewerOutput.value = shown;
    viewerImage.src = this.sources[shown];
    viewerImage.alt = viewerText.textContent;
    viewed = this;
  }
}

for (const section of document.querySelectorAll("section.images")) {
  const { steps, runs } = data.images[section.dataset.row];
  const allSeries = [...section.querySelectorAll("figure")].map((figure, i) => new ImageSeries(figure, runs[i]));
  const readable = allSeries.filter((series) => series.image);
  readable.forEach((series, i) => {
    series.title = section.querySelector("h2").textContent;
    series.others = readable;
    series.place = i;
    series.image.parentElement.addEventListener("click", () => {
      series.view(Number(series.at.dataset.step));
      viewer.showModal();
    });
  });
  const slider = section.querySelector(".step");
  slider?.addEventListener("input", () => {
    slider.nextElementSibling.value = steps[slider.value];
    allSeries.forEach((series) => series.show(steps[slider.value]));
  });
}
viewerSlider.addEventListener("input", () => viewed.view(viewed.steps[viewerSlider.value]));
viewer.querySelectorAll("[data-move]").forEach((button) => button.addEventListener("click", () => {
  const { others, place } = viewed;
  others[(place + others.length + Number(button.dataset.move)) % others.length].view(Number(viewerOutput.value));
}));
viewer.addEventListener("click", (event) => {
  if (event.target === viewer) viewer.close();
});
