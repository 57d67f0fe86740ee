"""Health and fitness: measures of the body, running, and strength training."""

import math
import re
from typing import Annotated, Any

from .core import Answer, Doc, Tool, every, rows, unknown, wrong

CATEGORY = "Health_and_Fitness"

body_tool = Tool(
    "Body Metrics",
    category=CATEGORY,
    description="Body mass index, energy needs, body fat and ideal weight.",
    host="body-metrics",
)

SEXES = ("female", "male")
Sex = Annotated[str, Doc("Sex", "female", choices=SEXES)]
Weight = Annotated[float, Doc("Weight in kilograms", 70, low=20, high=400)]
Height = Annotated[float, Doc("Height in centimetres", 175, low=80, high=260)]
Age = Annotated[int, Doc("Age in years", 30, low=5, high=110)]
CLASSES = [(18.5, "underweight"), (25, "normal weight"), (30, "overweight"), (math.inf, "obesity")]
ACTIVITY = {"sedentary": 1.2, "light": 1.375, "moderate": 1.55, "active": 1.725, "extreme": 1.9}
GOALS = {"lose": -500, "maintain": 0, "gain": 500}


@body_tool.get(
    "BMI",
    "/bmi",
    samples=rows(
        "weight height",
        (70, 175),
        (55, 168),
        (48, 170),
        (92, 180),
        (110, 172),
        (63.5, 160),
        (81, 190),
        (74, 169),
        (120, 198),
        (58, 177),
    ),
    refused={400: [*rows("weight height", (70, 1.75), ("heavy", 180)), {"weight": 70}]},
)
def bmi(weight: Weight, height: Height) -> Answer:
    """Body mass index with its class, and the weights that are normal for the height."""
    metres = height / 100
    index = weight / metres**2
    return {
        "bmi": round(index, 1),
        "class": next(name for high, name in CLASSES if index < high),
        "normal_weight_kg": {
            "from": round(18.5 * metres**2, 1),
            "to": round(25 * metres**2, 1),
        },
    }


def basal_rate(sex: str, age: int, weight: float, height: float, formula: str = "mifflin") -> float:
    """Return the energy that a body at rest needs, in kcal a day."""
    if formula == "mifflin":
        return 10 * weight + 6.25 * height - 5 * age + (5 if sex == "male" else -161)
    if sex == "male":
        return 88.362 + 13.397 * weight + 4.799 * height - 5.677 * age
    return 447.593 + 9.247 * weight + 3.098 * height - 4.330 * age


PEOPLE = rows(
    "sex age weight height",
    ("female", 30, 62, 168),
    ("male", 30, 80, 182),
    ("male", 45, 92, 178),
    ("female", 52, 70, 163),
    ("female", 24, 55, 172),
    ("male", 19, 68, 175),
    ("male", 67, 84, 170),
    ("female", 38, 81, 175),
)


@body_tool.get(
    "Basal metabolic rate",
    "/bmr",
    samples=PEOPLE + [person | {"formula": "harris"} for person in PEOPLE[:4]],
    refused={400: [PEOPLE[0] | {"sex": "cat"}, PEOPLE[0] | {"formula": "magic"}, {"age": 30}]},
)
def basal_metabolic_rate(
    sex: Sex,
    age: Age,
    weight: Weight,
    height: Height,
    formula: Annotated[
        str, Doc("mifflin (Mifflin-St Jeor) or harris (revised)", choices=("mifflin", "harris"))
    ] = "mifflin",
) -> Answer:
    """Energy that a body at rest needs in a day."""
    rate = basal_rate(sex, age, weight, height, formula)
    return {"formula": formula, "kcal": round(rate), "kilojoule": round(rate * 4.184)}


@body_tool.get(
    "Daily calories",
    "/calories",
    samples=[
        *[person | {"activity": "moderate"} for person in PEOPLE],
        PEOPLE[0] | {"activity": "sedentary", "goal": "lose"},
        PEOPLE[1] | {"activity": "active", "goal": "gain"},
        PEOPLE[2] | {"activity": "light", "goal": "lose"},
        PEOPLE[4] | {"activity": "extreme"},
    ],
    refused={400: [PEOPLE[0], PEOPLE[0] | {"activity": "lazy"}]},
)
def daily_calories(
    sex: Sex,
    age: Age,
    weight: Weight,
    height: Height,
    activity: Annotated[str, Doc("How active the days are", "moderate", choices=tuple(ACTIVITY))],
    goal: Annotated[
        str, Doc("What should become of the weight", choices=tuple(GOALS))
    ] = "maintain",
) -> Answer:
    """Calories a day for keeping, losing or gaining weight (Mifflin-St Jeor times activity)."""
    keep = basal_rate(sex, age, weight, height) * ACTIVITY[activity]
    return {
        "activity_factor": ACTIVITY[activity],
        "maintain_kcal": round(keep),
        "goal": goal,
        "goal_kcal": round(keep + GOALS[goal]),
    }


@body_tool.get(
    "Body fat",
    "/bodyfat",
    samples=rows(
        "sex height waist neck hip",
        ("female", 168, 74, 33, 98),
        ("female", 163, 82, 34, 104),
        ("female", 175, 70, 31, 95),
        ("female", 172, 68, 31, 92),
        ("female", 160, 90, 35, 110),
    )
    + rows(
        "sex height waist neck",
        ("male", 182, 86, 38),
        ("male", 178, 98, 41),
        ("male", 175, 78, 37),
        ("male", 190, 92, 40),
        ("male", 170, 101, 42),
    ),
    refused={400: rows("sex height waist neck", ("female", 168, 74, 33), ("male", 180, 35, 38))},
)
def body_fat(
    sex: Annotated[str, Doc("Sex", "male", choices=SEXES)],
    height: Height,
    waist: Annotated[float, Doc("Waist in centimetres", 74, low=30, high=250)],
    neck: Annotated[float, Doc("Neck in centimetres", 33, low=20, high=80)],
    hip: Annotated[
        float | None, Doc("Hip in centimetres; women only", 98, low=40, high=250)
    ] = None,
) -> Answer:
    """Body fat by the US Navy's tape method."""
    if sex == "female" and hip is None:
        raise wrong("Missing parameter 'hip', which the formula for women needs")
    around = waist - neck + (hip or 0 if sex == "female" else 0)
    if around <= 0:
        raise wrong("'waist' must be larger than 'neck'")
    if sex == "male":
        density = 1.0324 - 0.19077 * math.log10(around) + 0.15456 * math.log10(height)
    else:
        density = 1.29579 - 0.35004 * math.log10(around) + 0.22100 * math.log10(height)
    return {"method": "US Navy", "body_fat_percent": round(495 / density - 450, 1)}


@body_tool.get(
    "idealWeight",
    "/ideal",
    samples=every(sex=SEXES, height=[160, 168, 175, 182, 190]),
    refused={400: [{"sex": "male"}, {"sex": "male", "height": 5.9}]},
)
def ideal_weight(sex: Sex, height: Height) -> Answer:
    """Ideal weight by the formulas of Devine, Robinson and Miller."""
    over = height / 2.54 - 60
    male = sex == "male"
    return {
        "devine_kg": round((50 if male else 45.5) + 2.3 * over, 1),
        "robinson_kg": round((52 if male else 49) + (1.9 if male else 1.7) * over, 1),
        "miller_kg": round((56.2 if male else 53.1) + (1.41 if male else 1.36) * over, 1),
    }


running_tool = Tool(
    "Running Calculator",
    category=CATEGORY,
    description="Pace, finish times, race predictions, splits and heart rate zones for runners.",
    host="running-calculator",
    error_key="error",
)

MILE = 1.609344
Distance = Annotated[float, Doc("Distance in kilometres", 10, low=0.1, high=1000)]
Time = Annotated[str, Doc("Time as h:mm:ss or mm:ss", "50:00")]


def seconds_of(text: str) -> int:
    """Read a time."""
    if not re.fullmatch(r"(\d+:)?\d{1,2}:\d{2}", text):
        raise wrong(f"'{text}' is no time like 1:45:00 or 4:59")
    total = 0
    for part in text.split(":"):
        total = 60 * total + int(part)
    if not total:
        raise wrong("The time must be longer than 0:00")
    return total


def clock(seconds: float) -> str:
    """Write a time as h:mm:ss, or m:ss when shorter than an hour."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


@running_tool.get(
    "Pace",
    "/pace",
    samples=rows(
        "distance time",
        (10, "50:00"),
        (5, "24:30"),
        (21.0975, "1:45:00"),
        (42.195, "3:59:59"),
        (42.195, "4:30:00"),
        (10, "43:21"),
        (8, "44:00"),
        (1.5, "6:12"),
        (21.0975, "2:05:30"),
        (100, "11:20:00"),
    ),
    refused={400: [*rows("distance time", (10, "fast"), (0, "50:00")), {"distance": 10}]},
)
def pace(distance: Distance, time: Time) -> Answer:
    """Pace per kilometre and per mile, and the speed."""
    seconds = seconds_of(time)
    return {
        "pace_per_km": clock(seconds / distance),
        "pace_per_mile": clock(seconds / distance * MILE),
        "speed_kmh": round(distance / seconds * 3600, 2),
    }


@running_tool.get(
    "Finish time",
    "/finish",
    samples=rows(
        "distance pace",
        (10, "5:00"),
        (42.195, "5:41"),
        (42.195, "6:15"),
        (21.0975, "5:10"),
        (21.0975, "4:45"),
        (5, "4:20"),
        (15, "5:55"),
        (8, "6:40"),
        (50, "7:05"),
        (3, "4:05"),
    ),
    refused={400: [*rows("distance pace", (10, "5 min")), {"pace": "5:00"}]},
)
def finish_time(
    distance: Distance, pace: Annotated[str, Doc("Pace per kilometre as m:ss", "5:00")]
) -> Answer:
    """The time that a distance takes at a steady pace."""
    seconds = seconds_of(pace) * distance
    return {"time": clock(seconds), "minutes": round(seconds / 60, 1)}


@running_tool.get(
    "Predict race",
    "/predict",
    samples=rows(
        "distance time target",
        (10, "50:00", 21.0975),
        (10, "50:00", 42.195),
        (5, "24:30", 10),
        (5, "22:00", 42.195),
        (21.0975, "1:45:00", 42.195),
        (21.0975, "1:38:30", 42.195),
        (10, "43:21", 21.0975),
        (1.5, "6:12", 5),
        (42.195, "3:30:00", 10),
        (3, "13:30", 10),
    ),
    refused={400: [*rows("distance time", (10, "50:00")), {"distance": 10, "target": 5}]},
)
def predict_race(
    distance: Distance,
    time: Time,
    target: Annotated[float, Doc("Distance of the next race in km", 21.0975, low=0.1, high=1000)],
) -> Answer:
    """The time to expect over another distance, by Riegel's formula (exponent 1.06)."""
    seconds = seconds_of(time) * (target / distance) ** 1.06
    return {
        "target_km": target,
        "predicted_time": clock(seconds),
        "pace_per_km": clock(seconds / target),
    }


@running_tool.get(
    "splits",
    "/splits",
    samples=rows(
        "distance time every",
        (10, "50:00", 1),
        (10, "43:21", 2),
        (21.0975, "1:45:00", 5),
        (42.195, "3:59:59", 5),
        (42.195, "4:30:00", 10),
        (5, "24:30", 1),
        (5, "20:00", 0.4),
        (15, "1:15:00", 3),
    )
    + rows("distance time", (8, "44:00"), (42.195, "3:30:00")),
    refused={400: [*rows("distance time every", (10, "50:00", 0), (100, "9:00:00", 0.1))]},
)
def splits(
    distance: Distance,
    time: Time,
    every: Annotated[float, Doc("Kilometres between two splits", 5, low=0.1, high=100)] = 5,
) -> Answer:
    """The clock at each split of an even race."""
    count = math.ceil(distance / every - 1e-9)
    if count > 100:
        raise wrong(f"That would be {count} splits; at most 100 are given")
    seconds = seconds_of(time)
    marks = [min(round(every * n, 4), distance) for n in range(1, count + 1)]
    return {
        "splits": [{"km": mark, "clock": clock(seconds * mark / distance)} for mark in marks],
    }


@running_tool.get(
    "Heart rate zones",
    "/zones",
    samples=rows(
        "age resting",
        (30, 60),
        (25, 52),
        (40, 58),
        (52, 64),
        (67, 70),
        (19, 49),
        (35, 55),
    )
    + every(age=[30, 45, 60]),
    refused={400: [{"age": 200}, {"age": 30, "resting": 200}, {}]},
)
def heart_rate_zones(
    age: Age, resting: Annotated[int | None, Doc("Resting pulse", 60, low=30, high=110)] = None
) -> Answer:
    """Five training zones below the maximum 220 - age, by Karvonen with a resting pulse."""
    most = 220 - age
    base = resting or 0
    names = ["recovery", "endurance", "tempo", "threshold", "maximum"]
    return {
        "maximum_bpm": most,
        "method": "Karvonen" if resting else "percent of maximum",
        "zones": [
            {
                "zone": n + 1,
                "name": name,
                "from_bpm": round(base + (most - base) * (5 + n) / 10),
                "to_bpm": round(base + (most - base) * (6 + n) / 10),
            }
            for n, name in enumerate(names)
        ],
    }


strength_tool = Tool(
    "Strength Training",
    category=CATEGORY,
    description="One-rep maximum, plates on the bar, powerlifting points, and energy burned.",
    host="strength-training",
    error_key="detail",
)

PLATES = (25, 20, 15, 10, 5, 2.5, 1.25)
DOTS = {
    "male": (-307.75076, 24.0900756, -0.1918759221, 0.0007391293, -0.000001093),
    "female": (-57.96288, 13.6175032, -0.1126655495, 0.0005158568, -0.0000010706),
}
METS = {
    "walking, 3 mph": 3.5,
    "running, 5 mph": 8.3,
    "running, 6 mph": 9.8,
    "running, 7 mph": 11.0,
    "running, 8 mph": 11.8,
    "rope jumping": 12.3,
    "hatha yoga": 2.5,
    "weight training, vigorous": 6.0,
    "bicycling, general": 7.5,
}
Load = Annotated[float, Doc("Weight lifted in kilograms", 100, low=1, high=600)]


@strength_tool.get(
    "One rep max",
    "/onerepmax",
    samples=[
        *rows(
            "weight reps",
            (100, 5),
            (80, 8),
            (60, 10),
            (140, 3),
            (42.5, 6),
            (180, 2),
            (72.5, 12),
        ),
        *every(weight=[100, 80], reps=[5, 8], formula=["brzycki"]),
    ],
    refused={400: [*rows("weight reps", (100, 30), (0, 5)), {"weight": 100}]},
)
def one_rep_max(
    weight: Load,
    reps: Annotated[int, Doc("Repetitions done", 5, low=1, high=15)],
    formula: Annotated[str, Doc("Formula", choices=("epley", "brzycki"))] = "epley",
) -> Answer:
    """The weight that could be lifted once, and training weights as percentages of it."""
    if formula == "epley":
        most = weight * (1 + reps / 30) if reps > 1 else weight
    else:
        most = weight * 36 / (37 - reps)
    return {
        "formula": formula,
        "one_rep_max_kg": round(most, 1),
        "training_kg": {f"{part}%": round(most * part / 100, 1) for part in (90, 80, 70, 60)},
    }


@strength_tool.get(
    "Plates",
    "/plates",
    samples=[
        *every(weight=[60, 100, 142.5, 87.5, 180, 117.5, 20]),
        *rows("weight bar", (60, 15), (82.5, 15), (47.5, 10), (35, 15)),
    ],
    refused={400: [{"weight": 10}, {"weight": 101}, {"weight": 50, "bar": 12}]},
)
def plates(
    weight: Annotated[float, Doc("Weight of bar and plates in kilograms", 100, low=5, high=600)],
    bar: Annotated[float, Doc("Weight of the bar: 20, 15 or 10", low=10, high=20)] = 20,
) -> Answer:
    """Which plates go on each side of the bar, the heaviest first."""
    if bar not in (20, 15, 10):
        raise wrong(f"'bar' must be 20, 15 or 10, got {bar:g}")
    left = (weight - bar) / 2
    if left < 0 or left % 1.25:
        raise wrong(f"{weight:g} kg cannot be loaded on a bar of {bar:g} kg")
    side = []
    for plate in PLATES:
        while left >= plate:
            side.append(plate)
            left -= plate
    return {
        "weight": weight,
        "bar": bar,
        "each_side": side,
        "text": " + ".join(f"{plate:g}" for plate in side),
        "plates": 2 * len(side),
    }


@strength_tool.get(
    "Powerlifting points",
    "/points",
    samples=rows(
        "sex bodyweight total",
        ("male", 83, 600),
        ("male", 74, 512.5),
        ("male", 105, 720),
        ("male", 92.4, 655),
        ("male", 66, 430),
        ("female", 63, 380),
        ("female", 57, 332.5),
        ("female", 76, 410),
        ("female", 84.3, 445),
        ("female", 52, 290),
    ),
    refused={400: [{"sex": "male", "bodyweight": 20, "total": 600}, {"sex": "male"}]},
)
def powerlifting_points(
    sex: Sex,
    bodyweight: Annotated[float, Doc("Body weight in kilograms", 83, low=40, high=210)],
    total: Annotated[float, Doc("Total of the three lifts in kilograms", 600, low=0, high=1500)],
) -> Answer:
    """DOTS points, which compare lifters of different body weight."""
    bottom = sum(factor * bodyweight**n for n, factor in enumerate(DOTS[sex]))
    return {
        "dots": round(total * 500 / bottom, 2),
        "times_bodyweight": round(total / bodyweight, 2),
    }


@strength_tool.get(
    "caloriesBurned",
    "/burned",
    samples=rows(
        "activity weight minutes",
        ("walking, 3 mph", 70, 60),
        ("running, 6 mph", 70, 30),
        ("running, 5 mph", 62, 45),
        ("running, 7 mph", 80, 50),
        ("rope jumping", 55, 15),
        ("hatha yoga", 62, 90),
        ("weight training, vigorous", 92, 60),
        ("weight training, vigorous", 80, 45),
        ("bicycling, general", 68, 120),
        ("running, 8 mph", 70, 25),
    ),
    refused={
        400: rows("activity weight minutes", ("hatha yoga", 62, 0)),
        404: rows("activity weight minutes", ("swimming", 70, 30)),
    },
)
def calories_burned(
    activity: Annotated[str, Doc("Activity as in 'Activities'", "running, 6 mph")],
    weight: Weight,
    minutes: Annotated[float, Doc("How long, in minutes", 30, low=1, high=1440)],
) -> Answer:
    """Energy that an activity takes, by its MET value in the 2011 Compendium."""
    if activity.lower() not in METS:
        raise unknown(f"Activity '{activity}' is not in the list")
    met = METS[activity.lower()]
    return {"activity": activity, "met": met, "kcal": round(met * weight * minutes / 60)}


@strength_tool.get(
    "Activities",
    "/activities",
    samples=[{}, *every(minimum=[5, 8, 10, 11, 3])],
    refused={400: [{"minimum": "hard"}, {"minimum": -1}]},
)
def activities(
    minimum: Annotated[float, Doc("Only those of at least this MET value", low=0, high=30)] = 0,
) -> Answer:
    """The activities whose energy can be computed, with their MET values."""
    found: list[dict[str, Any]] = [
        {"activity": name, "met": met} for name, met in METS.items() if met >= minimum
    ]
    return {"count": len(found), "activities": found}
