"""Science: the chemical elements, molecules, the planets in the sky, and DNA."""

import itertools
import math
import re
from typing import Annotated, Any

import ephem
import molmass
from molmass.elements import SERIES

from .core import (
    CLASSROOM_HELPER,
    SKY_AND_SPACE,
    Answer,
    Doc,
    Raw,
    Tool,
    every,
    listed,
    rows,
    unknown,
    wrong,
)
from .places import paged, point
from .sky import minute, observer_at, time_of

CATEGORY = "Science"

elements_tool = Tool(
    "Periodic Table",
    category=CATEGORY,
    collections=[CLASSROOM_HELPER],
    description="The chemical elements with their properties, electron shells and isotopes.",
    host="periodic-table",
)

SYMBOLS = listed("H He C N O Na Al Si Fe Cu Ag Au Hg Pb U")
Symbol = Annotated[str, Doc("Symbol, English name or atomic number", "Fe")]


def element_of(name: str) -> Any:
    """Return an element by symbol, name or atomic number."""
    for element in molmass.ELEMENTS:
        if name.lower() in (element.symbol.lower(), element.name.lower(), str(element.number)):
            return element
    raise unknown(f"No element '{name}'")


@elements_tool.get(
    "Element",
    "/element/{element}",
    samples=every(element=[*SYMBOLS, "Gold", "oxygen", "26"]),
    refused={404: every(element=["Xx", "Unobtainium"])},
)
def element_properties(element: Symbol) -> Answer:
    """Properties of an element.

    Atomic mass, group, melting and boiling point (K), density (g/cm³, or g/L for gases),
    electronegativity, electron configuration and oxidation states.


    """
    found = element_of(element)
    return {
        "number": found.number,
        "symbol": found.symbol,
        "name": found.name,
        "atomic_mass": found.mass,
        "group": found.group,
        "period": found.period,
        "block": found.block,
        "series": SERIES[found.series],
        "melting_point_k": found.tmelt or None,
        "boiling_point_k": found.tboil or None,
        "density": found.density or None,
        "electronegativity": found.eleneg or None,
        "first_ionisation_ev": found.ionenergy[0] if found.ionenergy else None,
        "electron_configuration": found.eleconfig,
        "oxidation_states": [part for part in re.split(r"[*, ]+", found.oxistates) if part],
    }


@elements_tool.get(
    "Isotopes",
    "/element/{element}/isotopes",
    samples=every(element=listed("H C O Cl Fe Cu Sn U Pb Ne")),
    refused={404: [{"element": "Zz"}]},
)
def isotopes(element: Symbol) -> Answer:
    """The natural isotopes of an element with their masses and abundances."""
    found = element_of(element)
    natural = [one for one in found.isotopes.values() if one.abundance]
    return {
        "symbol": found.symbol,
        "isotopes": [
            {
                "mass_number": one.massnumber,
                "mass": one.mass,
                "abundance_percent": round(100 * one.abundance, 4),
            }
            for one in natural
        ],
    }


@elements_tool.get(
    "findElements",
    "/elements",
    samples=[
        {},
        {"offset": 10},
        *every(group=[1, 11, 17, 18]),
        {"period": 4},
        {"block": "f"},
        {"period": 2, "block": "p"},
    ],
    refused={400: [{"group": 19}, {"block": "x"}]},
)
def find_elements(
    group: Annotated[int | None, Doc("Group 1 to 18", low=1, high=18)] = None,
    period: Annotated[int | None, Doc("Period 1 to 7", low=1, high=7)] = None,
    block: Annotated[str | None, Doc("Block", choices=("s", "p", "d", "f"))] = None,
    offset: Annotated[int, Doc("First element of the page", low=0)] = 0,
    limit: Annotated[int, Doc("Elements per page", low=1, high=20)] = 10,
) -> Answer:
    """Elements by group, period or block, a page at a time."""
    found = [
        {"number": one.number, "symbol": one.symbol, "name": one.name, "mass": one.mass}
        for one in molmass.ELEMENTS
        if group in (None, one.group)
        and period in (None, one.period)
        and block in (None, one.block)
    ]
    return paged(found, offset, limit)


@elements_tool.get(
    "About an element",
    "/element/{element}/about",
    samples=every(element=listed("Au He Fe Hg C Ne")),
    refused={404: [{"element": "Kryptonite"}]},
)
def about_an_element(element: Symbol) -> Answer:
    """A paragraph of plain text about an element: looks, discovery, uses."""
    return Raw(f"{element_of(element).name}: {element_of(element).description}\n")


molecule_tool = Tool(
    "Molecule Calculator",
    category=CATEGORY,
    collections=[CLASSROOM_HELPER],
    description="Molar mass and composition of any chemical formula.",
    host="molecule-calculator",
    error_key="error",
)

FORMULAS = listed("H2O CO2 NaCl C6H12O6 C8H10N4O2 H2SO4 CaCO3 C2H5OH NH3 C9H8O4 (NH4)2SO4")
FormulaText = Annotated[str, Doc("Chemical formula", "C8H10N4O2")]


def molecule(text: str) -> molmass.Formula:
    """Return a formula that can be computed with."""
    try:
        formula = molmass.Formula(text)
        formula.composition()
    except molmass.FormulaError as reason:
        raise wrong(f"formula: {str(reason).splitlines()[0]}") from None
    return formula


@molecule_tool.get(
    "Molar mass",
    "/mass",
    samples=every(formula=FORMULAS),
    refused={400: [{"formula": "Xy2"}, {"formula": "H2O)"}, {}]},
)
def molar_mass(formula: FormulaText) -> Answer:
    """Molar mass of a formula in g/mol, its monoisotopic mass and number of atoms."""
    found = molecule(formula)
    return {
        "formula": formula,
        "hill_notation": found.formula,
        "empirical": found.empirical,
        "molar_mass": round(found.mass, 4),
        "monoisotopic_mass": round(found.monoisotopic_mass, 5),
        "atoms": found.atoms,
    }


@molecule_tool.get(
    "composition",
    "/composition",
    samples=every(formula=FORMULAS),
    refused={400: [{"formula": "water"}]},
)
def composition(formula: FormulaText) -> Answer:
    """How much each element contributes to the mass of a molecule."""
    parts = molecule(formula).composition().values()
    return {
        "formula": formula,
        "elements": [
            {
                "symbol": part.symbol,
                "count": part.count,
                "mass": round(part.mass, 4),
                "percent": round(100 * part.fraction, 2),
            }
            for part in parts
        ],
    }


@molecule_tool.post(
    "gramsToMoles",
    "/moles",
    samples=rows(
        "formula grams",
        ("H2O", 18),
        ("H2O", 1000),
        ("NaCl", 58.44),
        ("CO2", 100),
        ("C6H12O6", 250),
        ("C8H10N4O2", 0.1),
    ),
    refused={400: [{"formula": "H2O"}, {"formula": "H2O", "grams": -1}]},
)
def grams_to_moles(
    formula: FormulaText, grams: Annotated[float, Doc("Mass in grams", 18, low=0)]
) -> Answer:
    """The amount of substance and the number of molecules in a mass."""
    mass = molecule(formula).mass
    return {
        "formula": formula,
        "grams": grams,
        "molar_mass": round(mass, 4),
        "moles": float(f"{grams / mass:.6g}"),
        "molecules": float(f"{grams / mass * 6.02214076e23:.6g}"),
    }


planets_tool = Tool(
    "Planet Watch",
    category=CATEGORY,
    collections=[SKY_AND_SPACE],
    description="Where the planets stand in the sky, when they rise, and the seasons.",
    host="planet-watch",
    error_key="detail",
)

PLANETS = ("Mercury", "Venus", "Mars", "Jupiter", "Saturn", "Uranus", "Neptune")
Planet = Annotated[str, Doc("Name of the planet", "Mars", choices=PLANETS)]
Night = Annotated[str, Doc("Date as YYYY-MM-DD (0 h UTC)", "2025-06-21")]


def sky_date(text: str) -> ephem.Date:
    """Read a date."""
    try:
        return ephem.Date(text.replace("T", " "))
    except ValueError:
        raise wrong(f"'date' must be like 2025-06-21, got '{text}'") from None


@planets_tool.get(
    "Planet position",
    "/planets/{planet}",
    samples=every(planet=PLANETS, date=["2025-06-21", "2025-12-24"]),
    refused={400: [{"planet": "Vulcan", "date": "2025-06-21"}, {"planet": "Mars"}]},
)
def planet_position(planet: Planet, date: Night) -> Answer:
    """Right ascension, declination, constellation, magnitude and distance of a planet on a date."""
    body = getattr(ephem, planet)(sky_date(date))
    return {
        "planet": planet,
        "date": date,
        "right_ascension": str(body.ra),
        "declination": str(body.dec),
        "constellation": ephem.constellation(body)[1],
        "magnitude": round(body.mag, 2),
        "distance_au": round(body.earth_distance, 4),
        "distance_million_km": round(body.earth_distance * ephem.meters_per_au / 1e9, 1),
        "illuminated_percent": round(body.phase, 1),
    }


@planets_tool.get(
    "Planet rise and set",
    "/planets/{planet}/rise",
    samples=[
        {"planet": planet, "date": "2025-06-21", **point(city)}
        for planet in ("Venus", "Mars", "Jupiter", "Saturn")
        for city in ("Tallinn", "New York City", "Sydney")
    ],
    refused={400: [{"planet": "Mars", "date": "2025-06-21"}]},
)
def planet_rise_and_set(
    planet: Planet,
    date: Night,
    latitude: Annotated[float, Doc("Latitude in degrees", 59.43696, low=-90, high=90)],
    longitude: Annotated[float, Doc("Longitude in degrees", 24.75353, low=-180, high=180)],
) -> Answer:
    """The first rise, highest point and setting of a planet at a place from a date on, in UTC."""
    observer = observer_at(latitude, longitude, sky_date(date))
    body = getattr(ephem, planet)()
    return {
        "planet": planet,
        "from": date,
        "rise": time_of(observer.next_rising, body),
        "highest": time_of(observer.next_transit, body),
        "set": time_of(observer.next_setting, body),
    }


@planets_tool.get(
    "Seasons",
    "/seasons/{year}",
    samples=every(year=[1999, 2000, 2020, 2023, 2024, 2025, 2026, 2030]),
    refused={400: [{"year": "this"}, {"year": 9999}]},
)
def seasons(year: Annotated[int, Doc("Year", 2025, low=1600, high=2400)]) -> Answer:
    """Equinoxes and solstices of a year, in UTC."""
    start = ephem.Date(str(year))
    events = {
        "march_equinox": ephem.next_vernal_equinox,
        "june_solstice": ephem.next_summer_solstice,
        "september_equinox": ephem.next_autumn_equinox,
        "december_solstice": ephem.next_winter_solstice,
    }
    return {"year": year} | {name: minute(event(start)) for name, event in events.items()}


@planets_tool.get(
    "Separation",
    "/separation",
    samples=rows(
        "planet other date",
        ("Venus", "Jupiter", "2025-08-12"),
        ("Jupiter", "Saturn", "2020-12-21"),
        ("Mars", "Saturn", "2025-06-21"),
        ("Venus", "Saturn", "2025-04-25"),
        ("Mercury", "Venus", "2025-06-21"),
        ("Saturn", "Neptune", "2026-02-20"),
    ),
    refused={400: [{"planet": "Venus", "other": "Pluto", "date": "2025-08-12"}]},
)
def separation(
    planet: Planet,
    other: Annotated[str, Doc("Name of the other planet", "Jupiter", choices=PLANETS)],
    date: Night,
) -> Answer:
    """The angle between two planets in the sky on a date."""
    bodies = [getattr(ephem, name)(sky_date(date)) for name in (planet, other)]
    angle = math.degrees(ephem.separation(*bodies))
    return {"planet": planet, "other": other, "date": date, "degrees": round(angle, 2)}


dna_tool = Tool(
    "DNA Toolkit",
    category=CATEGORY,
    collections=[CLASSROOM_HELPER],
    description="Translates DNA, finds its other strand, its composition and its cutting sites.",
    host="dna-toolkit",
    error_key="error",
)

# The standard genetic code, for the codons in the order TTT, TTC, TTA, TTG, TCT, ...
CODE = "FFLLSSSSYY**CC*WLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG"
CODONS = {"".join(three): CODE[n] for n, three in enumerate(itertools.product("TCAG", repeat=3))}
AMINO_ACIDS = dict(
    pair.split("=")
    for pair in listed(
        "A=Alanine,C=Cysteine,D=Aspartic acid,E=Glutamic acid,F=Phenylalanine,G=Glycine,"
        "H=Histidine,I=Isoleucine,K=Lysine,L=Leucine,M=Methionine,N=Asparagine,P=Proline,"
        "Q=Glutamine,R=Arginine,S=Serine,T=Threonine,V=Valine,W=Tryptophan,Y=Tyrosine",
        ",",
    )
)
ENZYMES = {
    "EcoRI": ("GAATTC", 1),
    "BamHI": ("GGATCC", 1),
    "HindIII": ("AAGCTT", 1),
    "PstI": ("CTGCAG", 5),
    "SmaI": ("CCCGGG", 3),
    "XhoI": ("CTCGAG", 1),
    "NotI": ("GCGGCCGC", 2),
}
SEQUENCES = listed(
    "ATGGCCATTGTAATGGGCCGCTGA ATGAAATTTGGGTAA GAATTCGGATCCAAGCTT ATGTGGTACCCCGGGTGA "
    "GCGGCCGCATTAGAATTCCTCGAG TTACGGATCGATTACAGG ATATATATAT GGGCCCGGGCCC "
    "ATGCTGCAGGAAAAGCTTTGACTGCAG ACGTACGTACGTACGTACGT"
)
Sequence = Annotated[str, Doc("DNA sequence of A, C, G and T", SEQUENCES[0])]


def bases_of(sequence: str) -> str:
    """Read a DNA sequence."""
    bases = sequence.upper().replace(" ", "")
    strange = sorted(set(bases) - set("ACGT"))
    if strange:
        raise wrong(f"sequence: {', '.join(strange)} is no base; use A, C, G and T")
    return bases


def other_strand(bases: str) -> str:
    """Return the opposite strand in its own direction."""
    return bases.translate(str.maketrans("ACGT", "TGCA"))[::-1]


@dna_tool.get(
    "Translate",
    "/translate",
    samples=[*every(sequence=SEQUENCES), *every(sequence=SEQUENCES[:1], frame=[2, 3])],
    refused={400: [{"sequence": "AUGGCC"}, {"sequence": "ATG", "frame": 4}, {"sequence": "AT"}]},
)
def translate(
    sequence: Sequence, frame: Annotated[int, Doc("Base to start at", low=1, high=3)] = 1
) -> Answer:
    """The protein that a DNA sequence codes for, up to its first stop codon."""
    bases = bases_of(sequence)[frame - 1 :]
    codons = [bases[n : n + 3] for n in range(0, len(bases) - 2, 3)]
    if not codons:
        raise wrong("sequence: at least three bases are needed")
    protein = "".join(CODONS[codon] for codon in codons).split("*")[0]
    return {
        "frame": frame,
        "protein": protein,
        "length": len(protein),
        "has_stop": any(CODONS[codon] == "*" for codon in codons),
        "amino_acids": [AMINO_ACIDS[letter] for letter in protein],
    }


@dna_tool.get(
    "Reverse complement",
    "/complement",
    samples=every(sequence=SEQUENCES),
    refused={400: [{"sequence": "hello"}, {}]},
)
def reverse_complement(sequence: Sequence) -> Answer:
    """The opposite strand, the messenger RNA, and whether the site reads alike on both strands."""
    bases = bases_of(sequence)
    opposite = other_strand(bases)
    return {
        "sequence": bases,
        "reverse_complement": opposite,
        "messenger_rna": bases.replace("T", "U"),
        "palindrome": bases == opposite,
    }


@dna_tool.get(
    "Composition",
    "/composition",
    samples=every(sequence=SEQUENCES),
    refused={400: [{"sequence": "ACGN"}, {}]},
)
def base_composition(sequence: Sequence) -> Answer:
    """Counts of the bases, GC content, and the melting temperature of a primer.

    By the Wallace rule below 14 bases, by its successor 64.9 + 41 (G + C - 16.4) / N above.


    """
    bases = bases_of(sequence)
    counts = {base: bases.count(base) for base in "ACGT"}
    strong = counts["G"] + counts["C"]
    size = len(bases)
    melting = 2 * (size - strong) + 4 * strong
    if size >= 14:
        melting = 64.9 + 41 * (strong - 16.4) / size
    return {
        "length": size,
        "counts": counts,
        "gc_percent": round(100 * strong / size, 1),
        "melting_point_c": round(melting, 1),
    }


@dna_tool.get(
    "codonsOf",
    "/codons/{amino_acid}",
    samples=every(amino_acid=listed("L M W Serine K G arginine P Tyrosine V T H")),
    refused={404: every(amino_acid=["B", "Caffeine"])},
)
def codons_of(
    amino_acid: Annotated[str, Doc("Name or one letter of the amino acid", "Leucine")],
) -> Answer:
    """The codons that stand for an amino acid in the standard genetic code."""
    for letter, name in AMINO_ACIDS.items():
        if amino_acid.lower() in (letter.lower(), name.lower()):
            codons = [codon for codon, meant in CODONS.items() if meant == letter]
            return {"name": name, "letter": letter, "count": len(codons), "codons": codons}
    raise unknown(f"No amino acid '{amino_acid}'")


@dna_tool.get(
    "Restriction sites",
    "/sites",
    samples=[*every(sequence=SEQUENCES), {"sequence": SEQUENCES[2], "enzyme": "BamHI"}],
    refused={400: [{"sequence": SEQUENCES[2], "enzyme": "Scissors"}]},
)
def restriction_sites(
    sequence: Sequence,
    enzyme: Annotated[str | None, Doc("Only this enzyme", choices=tuple(ENZYMES))] = None,
) -> Answer:
    """Where restriction enzymes cut a sequence: the base after which the strand is cut."""
    bases = bases_of(sequence)
    cuts = [
        {"enzyme": name, "site": site, "cuts_after_base": match.start() + after}
        for name, (site, after) in ENZYMES.items()
        if enzyme in (None, name)
        for match in re.finditer(f"(?={site})", bases)
    ]
    return {"length": len(bases), "count": len(cuts), "cuts": cuts}
