"""Music: chords, scales and keys, pitch and tempo."""

import math
import re
from collections.abc import Iterable
from typing import Annotated, Any

import musthe
import pychord

from .core import CLASSROOM_HELPER, Answer, Doc, Tool, every, listed, rows, unknown, wrong
from .places import paged

CATEGORY = "Music"

chords_tool = Tool(
    "Chord Finder",
    category=CATEGORY,
    description="Spells chords, names them from their notes, transposes them.",
    host="chord-finder",
    error_key="error",
)

CHORDS = listed("C Am7 F#m G7 Bb Dm7 Ebmaj7 Cdim7 E7 Asus4 Bm7-5 C/G Gm F#m7 Caug D9")
ChordName = Annotated[str, Doc("Chord such as C, F#m7, Bb/D", "Am7")]
Semitones = Annotated[int, Doc("Semitones up, negative for down", 2, low=-11, high=11)]
Key = Annotated[str, Doc("Key's tonic, such as G or Bb", "G")]
Mode = Annotated[str, Doc("Mode of the key", "major", choices=("major", "minor"))]

NUMERALS = {
    "major": listed("I ii iii IV V vi vii°"),
    "minor": listed("i ii° III iv v VI VII"),
}


def chord_of(name: str) -> pychord.Chord:
    """Return a chord by its name."""
    try:
        return pychord.Chord(name)
    except (ValueError, IndexError):
        raise unknown(f"No chord '{name}'") from None


def chord_facts(chord: pychord.Chord) -> dict[str, Any]:
    """Return a chord's name and its notes from low to high."""
    notes = chord.components()
    return {"chord": str(chord), "notes": notes, "text": " ".join(notes)}


def transposed(name: str, semitones: int) -> pychord.Chord:
    """Return a chord moved by some semitones."""
    chord = chord_of(name)
    chord.transpose(semitones)
    return chord


@chords_tool.get(
    "Chord notes",
    "/chord",
    samples=every(chord=CHORDS),
    refused={404: every(chord=["H", "Cfoo"]), 400: [{}]},
)
def chord_notes(chord: ChordName) -> Answer:
    """The notes of a chord from low to high, with its root, quality and bass."""
    found = chord_of(chord)
    return chord_facts(found) | {
        "root": found.root,
        "quality": found.quality.quality or "major",
        "bass": found.on or found.root,
        "size": len(found.components()),
    }


@chords_tool.get(
    "findChords",
    "/find",
    samples=every(
        notes=listed(
            "C,E,G A,C,E G,B,D,F E,G,C Bb,D,F D,F,A,C F#,A,C#,E C,Eb,Gb,A B,D,F,A C,E,G#", " "
        )
    ),
    refused={400: [{"notes": "C,X,G"}, {"notes": ","}], 404: [{"notes": "C,C#,D"}]},
)
def find_chords(
    notes: Annotated[str, Doc("Notes from low to high, separated by commas", "C,E,G")],
) -> Answer:
    """The names that fit a set of notes, the one with the lowest note as its root first."""
    given = [note.strip() for note in notes.split(",") if note.strip()]
    try:
        found = pychord.find_chords_from_notes(given)
    except ValueError as reason:
        raise wrong(f"notes: {reason}") from None
    if not found:
        raise unknown(f"No chord of {', '.join(given)}")
    return {"notes": given, "chords": [str(chord) for chord in found]}


@chords_tool.get(
    "Transpose chord",
    "/transpose",
    samples=rows(
        "chord semitones",
        ("C", 2),
        ("Am7", 3),
        ("G7", -2),
        ("F#m", 1),
        ("Ebmaj7", 5),
        ("Bb", 4),
        ("Dm7", -5),
        ("C/G", 7),
        ("E7", 1),
        ("Gm", 2),
    ),
    refused={400: rows("chord semitones", ("C", 24), ("C", "up")), 404: [{"chord": "Hm"}]},
)
def transpose_chord(chord: ChordName, semitones: Semitones = 2) -> Answer:
    """Moves one chord up or down."""
    return {"from": chord, "semitones": semitones} | chord_facts(transposed(chord, semitones))


@chords_tool.post(
    "transposeProgression",
    "/progression/transpose",
    samples=rows(
        "chords semitones",
        (["C", "G", "Am", "F"], 2),
        (["C", "G", "Am", "F"], 3),
        (["Am", "F", "C", "G"], 5),
        (["Dm7", "G7", "Cmaj7"], -2),
        (["Dm7", "G7", "Cmaj7"], 5),
        (["E", "A", "B7"], -4),
        (["G", "D", "Em", "C"], -2),
        (["G", "D", "Em", "C"], 1),
        (["Bb", "Gm", "Eb", "F"], -3),
        (["F#m", "D", "A", "E"], 3),
    ),
    refused={400: [{"chords": ["C"]}, {"semitones": 2}], 404: rows("chords semitones", (["X"], 1))},
)
def transpose_progression(
    chords: Annotated[list[str], Doc("The chords in order", ["C", "G", "Am", "F"])],
    semitones: Semitones,
) -> Answer:
    """Moves a whole chord progression, for singers and for capo players."""
    moved = [str(transposed(str(name), semitones)) for name in chords]
    return {"semitones": semitones, "from": chords, "to": moved, "text": " | ".join(moved)}


@chords_tool.get(
    "Diatonic chords",
    "/key",
    samples=every(key=listed("C G D F Bb Eb"), mode=["major", "minor"])
    + rows("key mode sevenths", ("C", "major", True), ("A", "minor", True), ("A", "major", False)),
    refused={400: [{"key": "Q", "mode": "major"}, {"key": "C", "mode": "blues"}, {"key": "C"}]},
)
def diatonic_chords(
    key: Key, mode: Mode, sevenths: Annotated[bool, Doc("Chords of four notes")] = False
) -> Answer:
    """The seven chords that belong to a key, with their Roman numerals."""
    scale = f"{key}{mode[:3]}"
    try:
        chords = [
            pychord.Chord.from_note_index(step, "7" if sevenths else "", scale, diatonic=True)
            for step in range(1, 8)
        ]
    except ValueError:
        raise wrong(f"'key' must be a note such as G or Bb, got '{key}'") from None
    return {
        "key": f"{key} {mode}",
        "chords": [
            {"numeral": numeral} | chord_facts(chord)
            for numeral, chord in zip(NUMERALS[mode], chords, strict=True)
        ],
    }


scales_tool = Tool(
    "Scales and Keys",
    category=CATEGORY,
    collections=[CLASSROOM_HELPER],
    description="The notes of scales and modes, key signatures and intervals.",
    host="scales-and-keys",
)

SCALES = tuple(musthe.Scale.scales)
ScaleName = Annotated[str, Doc("Name of the scale", "dorian", choices=SCALES)]
SHARPS, FLATS = "FCGDAEB", "BEADGCF"
FIFTHS = {
    "major": listed("Cb Gb Db Ab Eb Bb F C G D A E B F# C#"),
    "minor": listed("Ab Eb Bb F C G D A E B F# C# G# D# A#"),
}
INTERVALS = {
    0: "unison",
    1: "minor second",
    2: "major second",
    3: "minor third",
    4: "major third",
    5: "perfect fourth",
    6: "tritone",
    7: "perfect fifth",
    8: "minor sixth",
    9: "major sixth",
    10: "minor seventh",
    11: "major seventh",
}


def note_of(name: str) -> musthe.Note:
    """Return a note such as F# or Bb3."""
    try:
        return musthe.Note(name[:1].upper() + name[1:])
    except ValueError:
        raise wrong(f"'{name}' is no note; write A to G, then # or b, then the octave") from None


def scale_notes(root: str, scale: str) -> list[str]:
    """Return the notes of a scale, without octaves."""
    return [str(note) for note in musthe.Scale(note_of(root), scale).notes]


@scales_tool.get(
    "Scale notes",
    "/scales/{scale}",
    samples=[
        *every(root=["C", "D", "Eb", "F#"], scale=["major", "harmonic_minor", "dorian"]),
        *every(root=["A", "E"], scale=["minor_pentatonic", "natural_minor", "melodic_minor"]),
        *rows("root scale", ("F", "lydian"), ("G", "mixolydian"), ("B", "locrian")),
    ],
    refused={400: [*rows("root scale", ("H", "major"), ("C", "bebop")), {"scale": "major"}]},
)
def notes_of_scale(
    scale: ScaleName, root: Annotated[str, Doc("The note it starts on", "D")]
) -> Answer:
    """The notes of a scale or mode that starts on a note."""
    notes = scale_notes(root, scale)
    return {"scale": f"{root} {scale}", "notes": notes, "text": " ".join(notes)}


@scales_tool.get("List of scales", "/scales", samples=[{}])
def list_of_scales() -> Answer:
    """The scales that are known, with the intervals from their first note."""
    return {
        "scales": [
            {"name": name, "intervals": " ".join(steps), "size": len(steps)}
            for name, steps in musthe.Scale.scales.items()
        ]
    }


@scales_tool.get(
    "Key signature",
    "/signature",
    samples=every(key=listed("C G Eb A E Bb F"), mode=["major", "minor"])
    + rows("key mode", ("Ab", "major"), ("F#", "minor"), ("C#", "minor"), ("Db", "major")),
    refused={400: [{"key": "C"}], 404: rows("key mode", ("G#", "major"), ("X", "minor"))},
)
def key_signature(key: Key, mode: Mode) -> Answer:
    """How many sharps or flats a key has, which they are, and its relative and parallel key."""
    circle = FIFTHS[mode]
    if key not in circle:
        raise unknown(f"No key signature for {key} {mode}")
    place = circle.index(key)
    sharps = place - 7
    other = "minor" if mode == "major" else "major"
    return {
        "key": f"{key} {mode}",
        "sharps": max(sharps, 0),
        "flats": max(-sharps, 0),
        "accidentals": [f"{n}#" for n in SHARPS[: max(sharps, 0)]]
        + [f"{n}b" for n in FLATS[: max(-sharps, 0)]],
        "relative_key": f"{FIFTHS[other][place]} {other}",
        "dominant": circle[place + 1] if place < 14 else None,
        "subdominant": circle[place - 1] if place else None,
    }


@scales_tool.get(
    "Interval",
    "/interval",
    samples=rows(
        "low high",
        ("C4", "G4"),
        ("C4", "E4"),
        ("A3", "C4"),
        ("E2", "B3"),
        ("D4", "Bb4"),
        ("F4", "B4"),
        ("G3", "G4"),
        ("Eb4", "G4"),
        ("E4", "C5"),
        ("C3", "A5"),
        ("B3", "A4"),
    ),
    refused={400: [*rows("low high", ("G4", "C4"), ("C4", "X")), {"low": "C4"}]},
)
def interval(
    low: Annotated[str, Doc("Lower note with its octave", "C4")],
    high: Annotated[str, Doc("Higher note with its octave", "G4")],
) -> Answer:
    """The interval between two notes: its name, semitones and inversion."""
    semitones = note_of(high).midi_note() - note_of(low).midi_note()
    if semitones < 0:
        raise wrong(f"'high' is {-semitones} semitones below 'low'")
    octaves, rest = divmod(semitones, 12)
    return {
        "low": low,
        "high": high,
        "semitones": semitones,
        "octaves": octaves,
        "name": "octave" if octaves == 1 and not rest else INTERVALS[rest],
        "inversion": INTERVALS[-rest % 12],
    }


@scales_tool.get(
    "findScales",
    "/find",
    samples=[
        *every(notes=["C,E,G,B", "D,F#,A,C", "A,C,D,E,G", "Bb,D,F,Ab"]),
        {"notes": "C,E,G", "scale": "major"},
        {"notes": "E,G#,B", "scale": "major"},
        {"notes": "D,F,G", "scale": "minor_pentatonic"},
        {"notes": "C,Eb,F#", "scale": "harmonic_minor"},
        {"notes": "F#,A#,C#", "scale": "major"},
        {"notes": "C,E", "offset": 10},
    ],
    refused={400: [{"notes": "do,re,mi"}, {"notes": "C", "scale": "japanese"}, {}]},
)
def find_scales(
    notes: Annotated[str, Doc("Notes separated by commas", "C,E,G,B")],
    scale: Annotated[str | None, Doc("Only this kind of scale", choices=SCALES)] = None,
    offset: Annotated[int, Doc("First scale of the page", low=0)] = 0,
    limit: Annotated[int, Doc("Scales per page", low=1, high=20)] = 10,
) -> Answer:
    """The scales that contain all the given notes, a page at a time."""
    wanted = {str(note_of(note.strip())) for note in notes.split(",")}
    found = [
        f"{root} {name}" for root, name in all_scales(scale) if wanted <= set(spelled(root, name))
    ]
    return paged(found, offset, limit)


def all_scales(scale: str | None) -> Iterable[tuple[str, str]]:
    """Return the root and name of each scale that is not only another name for one before it."""
    names = [scale] if scale else [n for n in SCALES if n not in ("ionian", "aeolian")]
    return [(root, name) for name in names for root in listed("C Db D Eb E F F# G Ab A Bb B")]


def spelled(root: str, scale: str) -> list[str]:
    """Return the notes of a scale, or none where it would need more than three accidentals."""
    try:
        return scale_notes(root, scale)
    except ValueError:
        return []


pitch_tool = Tool(
    "Pitch and Tempo",
    category=CATEGORY,
    collections=[CLASSROOM_HELPER],
    description="Notes to frequencies and back, MIDI numbers, tempo markings and delay times.",
    host="pitch-and-tempo",
    error_key="detail",
)

NAMES = listed("C C# D D# E F F# G G# A A# B")
MARKINGS = [
    (40, "Grave"),
    (60, "Largo"),
    (66, "Larghetto"),
    (76, "Adagio"),
    (108, "Andante"),
    (120, "Moderato"),
    (168, "Allegro"),
    (200, "Presto"),
    (math.inf, "Prestissimo"),
]
SPEED_OF_SOUND = 343
Tuning = Annotated[float, Doc("Frequency of A4 in Hz", low=380, high=480)]
Bpm = Annotated[float, Doc("Beats per minute", 120, low=20, high=400)]


def frequency(midi: int, tuning: float) -> float:
    """Return the frequency of a MIDI note in equal temperament."""
    return float(tuning * 2 ** ((midi - 69) / 12))


def note_name(midi: int) -> str:
    """Return a MIDI note's name in scientific notation."""
    return f"{NAMES[midi % 12]}{midi // 12 - 1}"


@pitch_tool.get(
    "Note to frequency",
    "/note",
    samples=[
        *every(note=listed("A4 C4 E2 A2 D3 G3 B3 E4 F#5 Bb3 C8 A0")),
        *rows("note tuning", ("A4", 442), ("A4", 432), ("C4", 432), ("E5", 415)),
    ],
    refused={400: [{"note": "H2"}, {"note": "A4", "tuning": 1000}, {}]},
)
def note_to_frequency(
    note: Annotated[str, Doc("Note with its octave", "A4")], tuning: Tuning = 440
) -> Answer:
    """Frequency of a note in equal temperament, its MIDI number and its wavelength in air."""
    if not re.fullmatch(r"[A-Ga-g](#|b)?\d", note):
        raise wrong(f"note: '{note}' is no note with an octave, such as F#5")
    midi = note_of(note).midi_note()
    hertz = frequency(midi, tuning)
    return {
        "note": note,
        "midi": midi,
        "frequency_hz": round(hertz, 2),
        "wavelength_cm": round(100 * SPEED_OF_SOUND / hertz, 1),
    }


@pitch_tool.get(
    "Frequency to note",
    "/frequency",
    samples=[
        *every(hz=[440, 261.63, 100, 50, 1000, 82.41, 329, 523.25, 432, 25.5]),
        *rows("hz tuning", (440, 442), (256, 432)),
    ],
    refused={400: [{"hz": 0}, {"hz": "A4"}, {"hz": 30000}]},
)
def frequency_to_note(
    hz: Annotated[float, Doc("Frequency in Hz", 440, low=16, high=16000)], tuning: Tuning = 440
) -> Answer:
    """The note nearest to a frequency, and by how many cents it is sharp or flat."""
    midi = round(69 + 12 * math.log2(hz / tuning))
    exact = frequency(midi, tuning)
    return {
        "hz": hz,
        "note": note_name(midi),
        "midi": midi,
        "note_hz": round(exact, 2),
        "cents": round(1200 * math.log2(hz / exact), 1) + 0.0,
    }


@pitch_tool.get(
    "Tempo",
    "/tempo/{bpm}",
    samples=every(bpm=[50, 60, 72, 84, 90, 96, 100, 112, 120, 128, 140, 174]),
    refused={400: every(bpm=[0, "fast", 1000])},
)
def tempo(bpm: Bpm) -> Answer:
    """The Italian marking of a tempo, and note lengths in milliseconds for setting a delay."""
    beat = 60000 / bpm
    return {
        "bpm": bpm,
        "marking": next(name for high, name in MARKINGS if bpm < high),
        "milliseconds": {
            "whole": round(4 * beat, 1),
            "half": round(2 * beat, 1),
            "quarter": round(beat, 1),
            "dotted_eighth": round(0.75 * beat, 1),
            "eighth": round(beat / 2, 1),
            "quarter_triplet": round(beat * 2 / 3, 1),
            "sixteenth": round(beat / 4, 1),
        },
    }


@pitch_tool.get(
    "songLength",
    "/length",
    samples=[
        *rows(
            "bpm bars beats_per_bar",
            (120, 64, 4),
            (90, 32, 4),
            (174, 128, 4),
            (60, 16, 3),
            (84, 48, 3),
            (140, 96, 4),
            (100, 75, 4),
            (72, 24, 6),
            (128, 112, 4),
        ),
        {"bpm": 96, "bars": 80},
    ],
    refused={400: [{"bpm": 120}, {"bpm": 120, "bars": 0}]},
)
def song_length(
    bpm: Bpm,
    bars: Annotated[int, Doc("Number of bars", 64, low=1, high=5000)],
    beats_per_bar: Annotated[int, Doc("Beats in a bar", low=1, high=16)] = 4,
) -> Answer:
    """How long a number of bars takes."""
    seconds = bars * beats_per_bar * 60 / bpm
    minutes, rest = divmod(round(seconds), 60)
    return {
        "beats": bars * beats_per_bar,
        "seconds": round(seconds, 1),
        "text": f"{minutes}:{rest:02d}",
    }
