"""Text in images: the font, how wide a text is, and how it is shortened."""

from functools import lru_cache

from PIL import Image, ImageDraw, ImageFont

BLACK, GRAY, RED, BLUE = (20, 20, 20), (150, 150, 150), (205, 20, 20), (31, 119, 180)


@lru_cache(maxsize=1)
def font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Returns the font of all images."""
    return ImageFont.load_default(size=13)


def width_of(text: str) -> float:
    """Returns how many pixels wide a text is."""
    return float(font().getlength(text))


def one_line(text: str) -> str:
    """Returns a name without line breaks: a class may be called anything."""
    return " ".join(text.split())


def fitted(text: str, width: float) -> str:
    """Shortens a text until it is no wider than `width` pixels."""
    if width_of(text) <= width:
        return text
    while text and width_of(f"{text}…") > width:
        text = text[:-1]
    return f"{text}…"


def upright(text: str, color: tuple[int, int, int]) -> Image.Image:
    """Returns a text that reads from bottom to top, on white."""
    box = font().getbbox(text)
    image = Image.new("RGB", (max(1, round(box[2])), max(1, round(box[3]))), "white")
    ImageDraw.Draw(image).text((0, 0), text, fill=color, font=font())
    return image.transpose(Image.Transpose.ROTATE_90)
