"""Sounds made of nothing but numbers, each with the words that describe it: what a small text-to-audio model can learn from.

A source is a function (draw, seconds, rate) -> (caption, wave). What the caption says (how many, how high, rising or falling,
fast or slow) is true of the wave, so whether a model does as it is told can be measured without a listener.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Wave = np.ndarray
Source = Callable[[np.random.Generator, float, int], tuple[str, Wave]]

HEIGHTS = {"low": (110.0, 220.0), "middle": (400.0, 700.0), "high": (1400.0, 2800.0)}  # Hz
NUMBERS = ("one", "two", "three", "four", "five")


def times(seconds: float, rate: int) -> np.ndarray:
    return np.arange(round(seconds * rate)) / rate


def hum(hz: np.ndarray | float, t: np.ndarray, partials: tuple[float, ...] = (1.0,)) -> Wave:
    """A tone of that pitch at each moment, with its harmonics' amplitudes."""
    steps = np.full(len(t), hz) if np.isscalar(hz) else hz
    phase = 2 * np.pi * np.cumsum(steps) * (t[1] - t[0] if len(t) > 1 else 0.0)
    return sum(a * np.sin(k * phase) for k, a in enumerate(partials, 1))  # type: ignore[return-value]


def noise(draw: np.random.Generator, n: int, rate: int, low: float = 0.0, high: float = 1e9, slope: float = 0.0) -> Wave:
    """Gaussian noise between two frequencies, falling by `slope` (0 white, 1 brown) with frequency; mean square 1."""
    spectrum = np.fft.rfft(draw.standard_normal(n))
    hz = np.fft.rfftfreq(n, 1 / rate)
    spectrum *= ((hz >= low) & (hz <= high)) / np.maximum(hz, 20.0) ** slope
    wave = np.fft.irfft(spectrum, n)
    return wave / (np.sqrt(np.mean(wave**2)) + 1e-9)


def fading(t: np.ndarray, seconds: float) -> np.ndarray:
    """Sudden, then dying away to a third every `seconds`."""
    return np.exp(-t / seconds) * np.minimum(1.0, t / 0.003)


def placed(seconds: float, rate: int, starts: np.ndarray, pulse: Callable[[int], Wave]) -> Wave:
    """Pulse number i added at each of the starts (seconds); what would lie behind the end is cut."""
    wave = np.zeros(round(seconds * rate))
    for i, start in enumerate(starts):
        at, sound = round(start * rate), pulse(i)
        sound = sound[: max(0, len(wave) - at)]
        wave[at : at + len(sound)] += sound
    return wave


def swelling(draw: np.random.Generator, t: np.ndarray, hz: float, depth: float = 0.8) -> np.ndarray:
    """A slow rise and fall about 1, of one period of its own for each draw."""
    return 1 + depth * np.sin(2 * np.pi * hz * t + draw.uniform(0, 2 * np.pi))


def evenly(draw: np.random.Generator, seconds: float, gap: float, jitter: float = 0.05) -> np.ndarray:
    starts = np.arange(draw.uniform(0, gap / 2), seconds, gap)
    return np.maximum(0.0, starts + draw.normal(0, jitter * gap, len(starts)))


def _counted(draw: np.random.Generator, seconds: float) -> tuple[int, np.ndarray]:
    n = int(draw.integers(1, 1 + min(5, max(1, int(seconds / 0.4)))))
    gap = min(0.7, 0.9 * seconds / n) * draw.uniform(0.7, 1.0)
    return n, 0.02 + gap * np.arange(n)


def _times_of(n: int, one: str) -> str:
    return f"one {one}" if n == 1 else f"{NUMBERS[n - 1]} {one}s"


def tone(draw: np.random.Generator, seconds: float, rate: int) -> tuple[str, Wave]:
    height = str(draw.choice(list(HEIGHTS)))
    return f"a steady {height} tone", hum(draw.uniform(*HEIGHTS[height]), times(seconds, rate), (1.0, 0.3, 0.1))


def sweep(draw: np.random.Generator, seconds: float, rate: int) -> tuple[str, Wave]:
    t, up = times(seconds, rate), bool(draw.integers(2))
    ends = draw.uniform(150, 350), draw.uniform(1500, 3000)
    hz = np.geomspace(*(ends if up else ends[::-1]), len(t))
    return f"a tone {'rising' if up else 'falling'} from {'low to high' if up else 'high to low'}", hum(hz, t, (1.0, 0.2))


def beeps(draw: np.random.Generator, seconds: float, rate: int) -> tuple[str, Wave]:
    n, starts = _counted(draw, seconds)
    height = str(draw.choice(list(HEIGHTS)))
    hz, t = draw.uniform(*HEIGHTS[height]), times(0.15, rate)
    pulse = hum(hz, t, (1.0, 0.2)) * np.minimum(1, np.minimum(t, t[::-1]) / 0.01)
    return _times_of(n, f"{height} beep"), placed(seconds, rate, starts, lambda _: pulse)


def knocks(draw: np.random.Generator, seconds: float, rate: int) -> tuple[str, Wave]:
    n, starts = _counted(draw, seconds)
    t = times(0.2, rate)
    pulse = noise(draw, len(t), rate, 80, 900) * fading(t, 0.025) + hum(draw.uniform(120, 200), t) * fading(t, 0.04)
    return _times_of(n, "knock") + " on a door", placed(seconds, rate, starts, lambda _: pulse)


def ticking(draw: np.random.Generator, seconds: float, rate: int) -> tuple[str, Wave]:
    fast, t = bool(draw.integers(2)), times(0.05, rate)
    pulse = noise(draw, len(t), rate, 1500, 7000) * fading(t, 0.006)
    starts = evenly(draw, seconds, draw.uniform(0.1, 0.16) if fast else draw.uniform(0.45, 0.6), 0.01)
    return f"a clock ticking {'fast' if fast else 'slowly'}", placed(seconds, rate, starts, lambda _: pulse)


def hiss(draw: np.random.Generator, seconds: float, rate: int) -> tuple[str, Wave]:
    return "steam hissing", noise(draw, round(seconds * rate), rate, draw.uniform(2500, 4000))


def rumble(draw: np.random.Generator, seconds: float, rate: int) -> tuple[str, Wave]:
    return "a deep rumble", noise(draw, round(seconds * rate), rate, 30, draw.uniform(120, 220))


def static(draw: np.random.Generator, seconds: float, rate: int) -> tuple[str, Wave]:
    return "white noise", noise(draw, round(seconds * rate), rate)


def wind(draw: np.random.Generator, seconds: float, rate: int) -> tuple[str, Wave]:
    t = times(seconds, rate)
    wave = noise(draw, len(t), rate, 150, 900, 0.5) + 0.5 * noise(draw, len(t), rate, 500, 1500) * swelling(draw, t, 0.7)
    return "wind blowing", wave * swelling(draw, t, draw.uniform(0.2, 0.5), 0.6)


def rain(draw: np.random.Generator, seconds: float, rate: int) -> tuple[str, Wave]:
    heavy, t = bool(draw.integers(2)), times(0.02, rate)
    drops = [noise(draw, len(t), rate, draw.uniform(1500, 5000)) * fading(t, 0.002) for _ in range(8)]
    starts = np.sort(draw.uniform(0, seconds, round(seconds * (400 if heavy else 60))))
    wave = placed(seconds, rate, starts, lambda i: drops[i % 8] * draw.uniform(0.2, 1))
    bed = noise(draw, len(wave), rate, 1000) * (0.35 if heavy else 0.03)
    return f"{'heavy' if heavy else 'light'} rain", wave + bed


def waves(draw: np.random.Generator, seconds: float, rate: int) -> tuple[str, Wave]:
    t = times(seconds, rate)
    surf = (0.5 + 0.5 * np.sin(2 * np.pi * draw.uniform(0.25, 0.4) * t + draw.uniform(0, 6))) ** 2
    return "waves breaking on a beach", noise(draw, len(t), rate, 200, 6000, 0.4) * (0.1 + surf)


def thunder(draw: np.random.Generator, seconds: float, rate: int) -> tuple[str, Wave]:
    t = times(seconds, rate)
    crack = noise(draw, len(t), rate, 100, 3000, 0.8) * fading(t, 0.1)
    roll = noise(draw, len(t), rate, 25, 250, 0.5) * np.exp(-t / 1.2) * swelling(draw, t, 2.0, 0.5)
    return "a clap of thunder", crack + roll


def engine(draw: np.random.Generator, seconds: float, rate: int) -> tuple[str, Wave]:
    t, hz = times(seconds, rate), draw.uniform(28, 45)
    wave = hum(hz * swelling(draw, t, 0.5, 0.06), t, tuple(1 / k for k in range(1, 30)))
    return "an engine running", wave + 0.3 * noise(draw, len(t), rate, 50, 800)


def helicopter(draw: np.random.Generator, seconds: float, rate: int) -> tuple[str, Wave]:
    t = times(seconds, rate)
    blades = (0.5 + 0.5 * np.sin(2 * np.pi * draw.uniform(9, 13) * t)) ** 3
    return "a helicopter", noise(draw, len(t), rate, 40, 700, 0.5) * (0.1 + blades)


def siren(draw: np.random.Generator, seconds: float, rate: int) -> tuple[str, Wave]:
    t = times(seconds, rate)
    hz = 950 + 350 * np.sin(2 * np.pi * draw.uniform(0.4, 0.8) * t + draw.uniform(0, 6))
    return "a siren wailing", hum(hz, t, (1.0, 0.4, 0.2))


def alarm(draw: np.random.Generator, seconds: float, rate: int) -> tuple[str, Wave]:
    t, low = times(seconds, rate), draw.uniform(700, 900)
    high = np.floor(t * draw.uniform(3, 5)) % 2 == 0
    return "an alarm going off", hum(np.where(high, 1.35 * low, low), t, (1.0, 0.0, 0.4, 0.0, 0.2))


def telephone(draw: np.random.Generator, seconds: float, rate: int) -> tuple[str, Wave]:
    t = times(seconds, rate)
    ring = (np.sin(2 * np.pi * 20 * t) > 0) * ((t + draw.uniform(0, 0.3)) % 1.6 < 0.9)
    return "a telephone ringing", (hum(1400.0, t) + hum(1750.0, t)) * ring


def bell(draw: np.random.Generator, seconds: float, rate: int) -> tuple[str, Wave]:
    n, starts = _counted(draw, seconds)
    t, hz = times(2.5, rate), draw.uniform(350, 700)
    parts = ((0.5, 0.4), (1, 1), (1.19, 0.6), (1.5, 0.4), (2, 0.6), (2.74, 0.4), (4.1, 0.2))
    pulse = sum(a * hum(hz * k, t) * fading(t, 0.9 / k) for k, a in parts)
    return _times_of(n, "stroke") + " of a bell", placed(seconds, rate, starts, lambda _: pulse)


def drum(draw: np.random.Generator, seconds: float, rate: int) -> tuple[str, Wave]:
    fast, t = bool(draw.integers(2)), times(0.3, rate)
    pulse = hum(150 * np.exp(-t / 0.05) + 55, t) * fading(t, 0.09) + 0.2 * noise(draw, len(t), rate) * fading(t, 0.008)
    starts = evenly(draw, seconds, draw.uniform(0.18, 0.26) if fast else draw.uniform(0.5, 0.7), 0.01)
    return f"a drum beating {'fast' if fast else 'slowly'}", placed(seconds, rate, starts, lambda _: pulse)


def heartbeat(draw: np.random.Generator, seconds: float, rate: int) -> tuple[str, Wave]:
    t, gap = times(0.25, rate), draw.uniform(0.7, 0.95)
    pulse = hum(45 + 30 * np.exp(-t / 0.03), t) * fading(t, 0.06)
    first = np.arange(draw.uniform(0, 0.3), seconds, gap)
    starts = np.sort(np.concatenate([first, first + 0.28]))
    return "a heartbeat", placed(seconds, rate, starts[starts < seconds], lambda i: pulse)


def footsteps(draw: np.random.Generator, seconds: float, rate: int) -> tuple[str, Wave]:
    t, running = times(0.18, rate), bool(draw.integers(2))
    steps = [noise(draw, len(t), rate, 80, 1500 + 600 * k, 0.5) * fading(t, 0.03) for k in range(2)]
    starts = evenly(draw, seconds, draw.uniform(0.26, 0.32) if running else draw.uniform(0.52, 0.65), 0.04)
    return f"footsteps of somebody {'running' if running else 'walking'}", placed(seconds, rate, starts, lambda i: steps[i % 2])


def bird(draw: np.random.Generator, seconds: float, rate: int) -> tuple[str, Wave]:
    t, hz = times(0.12, rate), draw.uniform(2800, 4200)
    chirp = hum(hz * (1 + 0.35 * np.sin(np.pi * t / 0.12 * draw.uniform(1, 3))), t) * np.sin(np.pi * t / 0.12)
    starts = np.sort(draw.uniform(0, seconds, max(2, round(3 * seconds))))
    return "a bird singing", placed(seconds, rate, starts, lambda i: chirp)


def crickets(draw: np.random.Generator, seconds: float, rate: int) -> tuple[str, Wave]:
    t = times(seconds, rate)
    trill = (0.5 + 0.5 * np.sin(2 * np.pi * draw.uniform(28, 36) * t)) ** 4 * ((t * draw.uniform(1.5, 2.2)) % 1 < 0.6)
    return "crickets chirping", hum(draw.uniform(4200, 5200), t) * trill


def drops(draw: np.random.Generator, seconds: float, rate: int) -> tuple[str, Wave]:
    n, starts = _counted(draw, seconds)
    t = times(0.15, rate)
    return _times_of(n, "drop") + " of water", placed(
        seconds, rate, starts, lambda _: hum(draw.uniform(500, 700) * np.exp(t / 0.12), t) * fading(t, 0.04)
    )


def applause(draw: np.random.Generator, seconds: float, rate: int) -> tuple[str, Wave]:
    t = times(0.05, rate)
    claps = [noise(draw, len(t), rate, 700, draw.uniform(2500, 5000)) * fading(t, 0.008) for _ in range(12)]
    starts = np.sort(draw.uniform(0, seconds, round(110 * seconds)))
    return "applause", placed(seconds, rate, starts, lambda i: claps[i % 12] * draw.uniform(0.3, 1))


def plucks(draw: np.random.Generator, seconds: float, rate: int) -> tuple[str, Wave]:
    """Karplus and Strong 1983: noise that goes round and is softened."""
    n, starts = _counted(draw, seconds)
    height = str(draw.choice(list(HEIGHTS)[:2]))
    period = round(rate / draw.uniform(*HEIGHTS[height]))
    spectrum = np.fft.rfft(draw.uniform(-1, 1, period))
    softer = np.cos(np.pi * np.fft.rfftfreq(period)) * 0.996
    pulse = np.concatenate([np.fft.irfft(spectrum * softer**k, period) for k in range(round(1.2 * rate / period))])
    return f"{_times_of(n, 'note')} plucked on a {height} string", placed(seconds, rate, starts, lambda _: 3 * pulse)


SOURCES: dict[str, Source] = {
    f.__name__: f
    for f in (
        tone, sweep, beeps, knocks, ticking, hiss, rumble, static, wind, rain, waves, thunder, engine, helicopter, siren, alarm,
        telephone, bell, drum, heartbeat, footsteps, bird, crickets, drops, applause, plucks,
    )
}  # fmt: skip
