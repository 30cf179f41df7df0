"""Text in images: its font, its width, and its shortening."""

from functools import lru_cache

from PIL import Image, ImageDraw, ImageFont

BLACK, GRAY, RED, BLUE = (20, 20, 20), (150, 150, 150), (205, 20, 20), (31, 119, 180)


@lru_cache(maxsize=1)
def font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Returns the font of all images."""
    return ImageFont.load_default(size=13)


def width_of(text: str) -> float:
    """Returns the width of a text in pixels."""
    return float(font().getlength(text))


def one_line(text: str) -> str:
    """Returns a name without line breaks, which names of classes and columns may contain."""
    return " ".join(text.split())


def fitted(text: str, width: float) -> str:
    """Returns a text, shortened until it is at most `width` pixels wide."""
    if width_of(text) <= width:
        return text
    while text and width_of(f"{text}…") > width:
        text = text[:-1]
    return f"{text}…"


def upright(text: str, color: tuple[int, int, int]) -> Image.Image:
    """Returns an image of a text that reads from bottom to top, on white."""
    # At least one pixel: Pillow can't paste an image of size 0.
    box = font().getbbox(text)
    image = Image.new("RGB", (max(1, round(box[2])), max(1, round(box[3]))), "white")
    ImageDraw.Draw(image).text((0, 0), text, fill=color, font=font())
    return image.transpose(Image.Transpose.ROTATE_90)
