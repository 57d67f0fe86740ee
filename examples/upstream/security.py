"""Cybersecurity: password strength, CVSS scores, and IP networks."""

import ipaddress
import itertools
import math
from typing import Annotated, Any

import cvss
from zxcvbn import zxcvbn

from .core import Answer, Doc, Tool, every, listed, rows, wrong
from .places import paged

CATEGORY = "Cybersecurity"

strength_tool = Tool(
    "Password Strength",
    category=CATEGORY,
    description="Estimates how hard a password is to guess, and what it would take to crack it.",
    host="password-strength",
)

PASSWORDS = listed(
    "correcthorsebatterystaple|Tr0ub4dour&3|password1987|qwertyuiop|D0g..................|"
    "liverpool2005|zxcvbn|Summer2024!|raamatukogu|7Kp$x!vQ2m|ilovemycat|abcdefgh123|letmein",
    "|",
)
Candidate = Annotated[str, Doc("The password to rate", "Tr0ub4dour&3")]
VERDICTS = listed("very weak|weak|fair|good|strong", "|")
ATTACKS = {
    "online_throttled": "online_throttling_100_per_hour",
    "online_unthrottled": "online_no_throttling_10_per_second",
    "offline_slow_hash": "offline_slow_hashing_1e4_per_second",
    "offline_fast_hash": "offline_fast_hashing_1e10_per_second",
}
ALPHABETS = {"digits": 10, "lowercase": 26, "letters": 52, "alphanumeric": 62, "printable": 95}
WORD_LISTS = {"diceware": 7776, "eff_short": 1296, "bip39": 2048}


def rated(candidate: str) -> dict[str, Any]:
    """Return what zxcvbn says of a password."""
    if len(candidate) > 72:
        raise wrong("'candidate' must have at most 72 characters")
    result: dict[str, Any] = zxcvbn(candidate)
    return result


@strength_tool.post(
    "Rate",
    "/rate",
    samples=every(candidate=PASSWORDS),
    refused={400: [{}, {"candidate": "x" * 73}]},
)
def rate_password(candidate: Candidate) -> Answer:
    """Rates a password from 0 to 4, with a warning and advice where it is weak."""
    found = rated(candidate)
    return {
        "length": len(candidate),
        "score": found["score"],
        "verdict": VERDICTS[found["score"]],
        "guesses_log10": round(found["guesses_log10"], 2),
        "warning": found["feedback"]["warning"] or None,
        "suggestions": found["feedback"]["suggestions"],
    }


@strength_tool.post(
    "crackTimes",
    "/crack",
    samples=every(candidate=PASSWORDS[:11]),
    refused={400: [{"candidate": ""}]},
)
def crack_times(candidate: Candidate) -> Answer:
    """How long four kinds of attack take to guess a password."""
    found = rated(candidate)
    return {
        "guesses": int(found["guesses"]),
        "times": {
            ours: {
                "seconds": float(f"{found['crack_times_seconds'][theirs]:.4g}"),
                "text": found["crack_times_display"][theirs],
            }
            for ours, theirs in ATTACKS.items()
        },
    }


@strength_tool.post(
    "Patterns",
    "/patterns",
    samples=every(candidate=PASSWORDS[:10]),
    refused={400: [{}]},
)
def patterns(candidate: Candidate) -> Answer:
    """The parts that a guesser would see in a password: words, keyboard runs, years."""
    return {
        "parts": [
            {
                "part": found["token"],
                "pattern": found["pattern"],
                "word": found.get("matched_word"),
                "rank": found.get("rank"),
                "dictionary": found.get("dictionary_name"),
            }
            for found in rated(candidate)["sequence"]
        ]
    }


@strength_tool.get(
    "Random password entropy",
    "/entropy/{alphabet}",
    samples=rows(
        "alphabet length",
        ("digits", 4),
        ("digits", 6),
        ("lowercase", 8),
        ("lowercase", 12),
        ("letters", 10),
        ("alphanumeric", 8),
        ("alphanumeric", 16),
        ("alphanumeric", 20),
        ("printable", 12),
        ("printable", 16),
    ),
    refused={400: rows("alphabet length", ("runes", 8), ("digits", 0))},
)
def random_password_entropy(
    alphabet: Annotated[str, Doc("Characters used", "alphanumeric", choices=tuple(ALPHABETS))],
    length: Annotated[int, Doc("Number of characters", 12, low=1, high=200)],
) -> Answer:
    """Entropy of a password whose characters are drawn at random."""
    size = ALPHABETS[alphabet]
    return {
        "alphabet_size": size,
        "bits": round(length * math.log2(size), 1),
        "bits_per_character": round(math.log2(size), 2),
    }


@strength_tool.get(
    "passphraseEntropy",
    "/passphrase",
    samples=[
        *every(words=[4, 5, 6, 7], list=["diceware", "eff_short"]),
        {"words": 12, "list": "bip39"},
        {"words": 24, "list": "bip39"},
        {"words": 8},
    ],
    refused={400: [{"words": 0}, {"words": 4, "list": "poems"}, {}]},
)
def passphrase_entropy(
    words: Annotated[int, Doc("Number of words", 6, low=1, high=50)],
    word_list: Annotated[
        str, Doc("Word list the words are drawn from", name="list", choices=tuple(WORD_LISTS))
    ] = "diceware",
) -> Answer:
    """Entropy of a passphrase whose words are drawn at random from a list."""
    size = WORD_LISTS[word_list]
    bits = words * math.log2(size)
    return {
        "list": word_list,
        "list_size": size,
        "bits": round(bits, 1),
        "same_as_alphanumeric_characters": math.ceil(bits / math.log2(62) - 1e-9),
    }


cvss_tool = Tool(
    "CVSS Calculator",
    category=CATEGORY,
    description="Scores the severity of vulnerabilities by CVSS 2, 3 and 4.",
    host="cvss-calculator",
    error_key="error",
)

VECTORS = [
    "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H",
    "CVSS:3.1/AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N",
    "CVSS:3.1/AV:L/AC:L/PR:L/UI:N/S:U/C:H/I:H/A:H",
    "CVSS:3.1/AV:N/AC:H/PR:N/UI:N/S:U/C:H/I:N/A:N",
    "CVSS:3.1/AV:P/AC:L/PR:N/UI:N/S:U/C:L/I:N/A:N",
    "CVSS:3.0/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H",
    "CVSS:3.1/AV:A/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H",
    "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N",
    "CVSS:4.0/AV:L/AC:L/AT:P/PR:L/UI:P/VC:L/VI:L/VA:N/SC:N/SI:N/SA:N",
    "AV:N/AC:L/Au:N/C:P/I:P/A:P",
    "AV:L/AC:M/Au:S/C:C/I:N/A:N",
]
Vector = Annotated[str, Doc("CVSS vector, with its CVSS: prefix from version 3 on", VECTORS[0])]
RATINGS = [(0, "None"), (3.9, "Low"), (6.9, "Medium"), (8.9, "High"), (10, "Critical")]
OLD_RATINGS = [(3.9, "Low"), (6.9, "Medium"), (10, "High")]
LEVELS = ("none", "low", "high")
METRICS = {
    "attack_vector": ("AV", {"network": "N", "adjacent": "A", "local": "L", "physical": "P"}),
    "attack_complexity": ("AC", {"low": "L", "high": "H"}),
    "privileges_required": ("PR", {"none": "N", "low": "L", "high": "H"}),
    "user_interaction": ("UI", {"none": "N", "required": "R"}),
    "scope": ("S", {"unchanged": "U", "changed": "C"}),
    "confidentiality": ("C", {"none": "N", "low": "L", "high": "H"}),
    "integrity": ("I", {"none": "N", "low": "L", "high": "H"}),
    "availability": ("A", {"none": "N", "low": "L", "high": "H"}),
}


def parsed(vector: str) -> Any:
    """Return a vector that can be scored."""
    kind = {"CVSS:3": cvss.CVSS3, "CVSS:4": cvss.CVSS4}.get(vector[:6], cvss.CVSS2)
    try:
        return kind(vector)
    except cvss.CVSSError as reason:
        raise wrong(f"vector: {reason}") from None


def base_score(found: Any) -> float:
    """Return a parsed vector's base score."""
    return float(found.scores()[0])


def rating(score: float, version: int) -> str:
    """Return the qualitative rating of a score."""
    return next(name for high, name in (OLD_RATINGS if version == 2 else RATINGS) if score <= high)


@cvss_tool.get(
    "Score",
    "/score",
    samples=every(vector=VECTORS),
    refused={400: [{"vector": "CVSS:3.1/AV:N"}, {"vector": "high"}, {}]},
)
def score(vector: Vector) -> Answer:
    """Base score and severity of a vulnerability from its vector."""
    found = parsed(vector)
    document = found.as_json()
    value = base_score(found)
    return {
        "vector": vector,
        "version": document["version"],
        "base_score": value,
        "severity": rating(value, int(document["version"][0])),
    }


@cvss_tool.get(
    "explainVector",
    "/explain",
    samples=every(vector=VECTORS),
    refused={400: [{"vector": "CVSS:3.1/AV:X/AC:L"}]},
)
def explain_vector(vector: Vector) -> Answer:
    """The base metrics of a vector in words."""
    document = parsed(vector).as_json(minimal=True)
    return {
        "version": document["version"],
        "metrics": {
            name: str(value).lower().replace("_", " ")
            for name, value in document.items()
            if name not in ("version", "vectorString") and isinstance(value, str)
        },
    }


@cvss_tool.post(
    "Build vector",
    "/build",
    samples=[
        dict(zip(METRICS, words.split(), strict=True))
        for words in (
            "network low none none unchanged high high high",
            "network low none required changed low low none",
            "local low low none unchanged high high high",
            "physical low none none unchanged high none none",
            "network high none none unchanged high none none",
            "adjacent low none none unchanged none none high",
            "network low low none unchanged low none none",
            "local high high required unchanged low low low",
            "network low none none changed high high high",
            "network low high none unchanged none high none",
        )
    ],
    refused={400: [{"attack_vector": "network"}, dict.fromkeys(METRICS, "high")]},
)
def build_vector(
    attack_vector: Annotated[
        str, Doc("Attack vector", "network", choices=("network", "adjacent", "local", "physical"))
    ],
    attack_complexity: Annotated[str, Doc("Attack complexity", "low", choices=("low", "high"))],
    privileges_required: Annotated[str, Doc("Privileges required", "none", choices=LEVELS)],
    user_interaction: Annotated[str, Doc("User interaction", "none", choices=("none", "required"))],
    scope: Annotated[str, Doc("Scope", "unchanged", choices=("unchanged", "changed"))],
    confidentiality: Annotated[str, Doc("Loss of confidentiality", "high", choices=LEVELS)],
    integrity: Annotated[str, Doc("Loss of integrity", "high", choices=LEVELS)],
    availability: Annotated[str, Doc("Loss of availability", "high", choices=LEVELS)],
) -> Answer:
    """Makes a CVSS 3.1 vector from words, and scores it."""
    words = locals()
    vector = "/".join(f"{short}:{codes[words[name]]}" for name, (short, codes) in METRICS.items())
    value = base_score(parsed(f"CVSS:3.1/{vector}"))
    return {"vector": f"CVSS:3.1/{vector}", "base_score": value, "severity": rating(value, 3)}


@cvss_tool.get(
    "Severity of a score",
    "/severity/{score}",
    samples=[
        *every(score=[0, 2.5, 4, 6.9, 7, 8.9, 9, 10]),
        *rows("score version", (9.5, 2), (3.9, 2), (6.5, 2)),
    ],
    refused={400: [{"score": 11}, {"score": "high"}, {"score": 5, "version": 1}]},
)
def severity_of_a_score(
    score: Annotated[float, Doc("Base score", 7.5, low=0, high=10)],
    version: Annotated[int, Doc("Version of CVSS: 2, 3 or 4", low=2, high=4)] = 3,
) -> Answer:
    """The rating in words that a base score has."""
    return {"score": score, "version": version, "severity": rating(score, version)}


network_tool = Tool(
    "IP Subnet Calculator",
    category=CATEGORY,
    description="Networks, masks and host ranges, for IPv4 and IPv6.",
    host="ip-subnet-calculator",
    error_key="detail",
)

Cidr = Annotated[str, Doc("Network in CIDR notation", "192.168.10.0/26")]
Address = Annotated[str, Doc("IPv4 or IPv6 address", "192.168.10.77")]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def network_of(cidr: str) -> Network:
    """Return the network that an address with a prefix lies in."""
    try:
        return ipaddress.ip_network(cidr, strict=False)
    except ValueError as reason:
        raise wrong(str(reason)) from None


def address_of(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Return an address."""
    try:
        return ipaddress.ip_address(text)
    except ValueError as reason:
        raise wrong(str(reason)) from None


def usable(network: Network) -> tuple[Any, Any, int]:
    """Return the first and last host of a network, and the number of hosts."""
    if network.version == 6 or network.prefixlen >= 31:
        return network[0], network[-1], network.num_addresses
    return network[1], network[-2], network.num_addresses - 2


@network_tool.get(
    "Subnet",
    "/subnet",
    samples=every(
        cidr=listed(
            "192.168.10.0/26 10.0.0.0/8 172.16.5.130/20 192.168.1.77/24 10.20.30.40/29 "
            "203.0.113.64/27 10.1.2.3/31 172.31.200.9/18 2001:db8::/48 192.168.100.14/28 "
            "10.44.0.0/22"
        )
    ),
    refused={400: [*every(cidr=["192.168.1.0/33", "300.1.1.0/24", "home"]), {}]},
)
def subnet(cidr: Cidr) -> Answer:
    """Network address, mask, broadcast address and hosts of a network."""
    network = network_of(cidr)
    first, last, hosts = usable(network)
    return {
        "network": str(network),
        "version": network.version,
        "netmask": str(network.netmask),
        "wildcard": str(network.hostmask),
        "broadcast": str(network.broadcast_address) if network.version == 4 else None,
        "first_host": str(first),
        "last_host": str(last),
        "hosts": hosts,
    }


@network_tool.get(
    "inNetwork",
    "/contains",
    samples=rows(
        "cidr address",
        ("192.168.10.0/26", "192.168.10.77"),
        ("192.168.10.0/26", "192.168.10.12"),
        ("10.0.0.0/8", "10.200.3.4"),
        ("172.16.0.0/12", "172.32.0.1"),
        ("172.16.0.0/12", "172.31.255.9"),
        ("203.0.113.64/27", "203.0.113.95"),
        ("203.0.113.64/27", "203.0.113.96"),
        ("2001:db8::/48", "2001:db8:0:5::1"),
        ("2001:db8::/48", "2001:db8:1::1"),
        ("10.20.30.40/29", "10.20.30.47"),
    ),
    refused={400: rows("cidr address", ("10.0.0.0/8", "10.0.0"), ("10.0.0.0/8", "::1"))},
)
def in_network(cidr: Cidr, address: Address) -> Answer:
    """Whether an address lies in a network, and at which place."""
    network, found = network_of(cidr), address_of(address)
    if network.version != found.version:
        raise wrong(f"{address} is IPv{found.version}, {cidr} is IPv{network.version}")
    inside = found in network
    return {
        "inside": inside,
        "position": int(found) - int(network.network_address) if inside else None,
        "network": str(network),
    }


@network_tool.get(
    "About an address",
    "/address/{address}",
    samples=every(
        address=listed(
            "192.168.10.77 8.8.8.8 127.0.0.1 10.20.30.40 172.16.5.130 169.254.7.7 224.0.0.251 "
            "1.1.1.1 2001:4860:4860::8888 ::1 fe80::1 193.40.5.73"
        )
    ),
    refused={400: every(address=["256.1.1.1", "localhost"])},
)
def about_an_address(address: Address) -> Answer:
    """The kind of an address, its reverse DNS name, and its value as a number."""
    found = address_of(address)
    kinds = ("loopback", "link_local", "multicast", "private", "global")
    return {
        "address": str(found),
        "version": found.version,
        "kind": next((kind for kind in kinds if getattr(found, f"is_{kind}")), "reserved"),
        "reverse_name": found.reverse_pointer,
        "expanded": found.exploded,
        "integer": str(int(found)),
        "hexadecimal": f"{int(found):x}",
    }


@network_tool.get(
    "splitNetwork",
    "/split",
    samples=rows(
        "cidr prefix",
        ("192.168.10.0/24", 26),
        ("192.168.10.0/24", 27),
        ("10.44.0.0/22", 24),
        ("172.16.0.0/16", 18),
        ("10.0.0.0/8", 16),
        ("203.0.113.64/27", 29),
        ("192.168.0.0/23", 25),
        ("2001:db8::/48", 52),
    )
    + rows("cidr prefix offset", ("10.0.0.0/8", 16, 250), ("192.168.10.0/24", 28, 10)),
    refused={400: rows("cidr prefix", ("192.168.10.0/24", 20), ("10.0.0.0/8", 32))},
)
def split_network(
    cidr: Cidr,
    prefix: Annotated[int, Doc("Prefix length of the parts", 27, low=1, high=128)],
    offset: Annotated[int, Doc("First part of the page", low=0)] = 0,
    limit: Annotated[int, Doc("Parts per page", low=1, high=20)] = 10,
) -> Answer:
    """Splits a network into parts of one size, a page at a time."""
    network = network_of(cidr)
    if not 0 <= prefix - network.prefixlen <= 12:
        raise wrong(f"'prefix' must be 0 to 12 longer than {network.prefixlen}, got {prefix}")
    parts = network.subnets(new_prefix=prefix)
    return paged([str(part) for part in itertools.islice(parts, 4096)], offset, limit)


@network_tool.post(
    "Summarise",
    "/summarise",
    samples=every(
        networks=[
            ["192.168.0.0/24", "192.168.1.0/24"],
            ["10.0.0.0/24", "10.0.1.0/24", "10.0.2.0/24", "10.0.3.0/24"],
            ["10.0.0.0/24", "10.0.2.0/24"],
            ["172.16.0.0/17", "172.16.128.0/17"],
            ["192.168.10.0/26", "192.168.10.64/26", "192.168.10.128/25"],
            ["10.8.0.0/16", "10.9.0.0/16", "10.10.0.0/16"],
            ["203.0.113.0/25", "203.0.113.64/27"],
            ["2001:db8::/49", "2001:db8:0:8000::/49"],
            ["192.168.4.0/24", "192.168.5.0/24", "192.168.6.0/23"],
            ["10.1.0.0/16"],
        ]
    ),
    refused={400: [{"networks": ["10.0.0.0/8", "x"]}, {"networks": ["::/8", "10.0.0.0/8"]}]},
)
def summarise(
    networks: Annotated[
        list[str], Doc("Networks in CIDR notation", ["192.168.0.0/24", "192.168.1.0/24"])
    ],
) -> Answer:
    """The fewest networks that cover the same addresses, for a routing table."""
    found: Any = [network_of(str(network)) for network in networks]
    if len({network.version for network in found}) > 1:
        raise wrong("IPv4 and IPv6 networks cannot be mixed")
    merged = [str(network) for network in ipaddress.collapse_addresses(found)]
    return {"given": len(found), "networks": merged, "count": len(merged)}
