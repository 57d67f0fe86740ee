"""Finance: currencies, IBANs and banks, stock exchange calendars, and loans."""

import datetime
import re
from typing import Annotated, Any

import babel
import holidays
import pycountry
from babel import numbers
from babel.core import get_global
from schwifty import BIC, IBAN, registry
from schwifty.exceptions import SchwiftyException

from .core import (
    CLASSROOM_HELPER,
    GLOBAL_COMMERCE,
    TRAVEL_PLANNER,
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
from .places import paged

CATEGORY = "Finance"

CURRENCIES = listed("EUR USD GBP JPY CHF SEK INR BRL PLN KWD")
CurrencyCode = Annotated[str, Doc("Three-letter ISO 4217 code", "EUR")]

currency_tool = Tool(
    "Currency Codes and Formats",
    category=CATEGORY,
    collections=[TRAVEL_PLANNER, GLOBAL_COMMERCE],
    description="ISO 4217 currencies, where they are used, and how amounts are written.",
    host="currency-codes-and-formats",
    pricing="FREEMIUM",
)


def currency_of(code: str) -> Any:
    """Return a currency by its code."""
    found = pycountry.currencies.get(alpha_3=code.upper())
    if found is None:
        raise unknown(f"Unknown currency: {code}")
    return found


def territories_using(code: str) -> list[str]:
    """Return the territories whose legal tender is the currency today."""
    return sorted(
        territory
        for territory, periods in get_global("territory_currencies").items()
        if any(name == code and end is None and tender for name, _, end, tender in periods)
    )


@currency_tool.get(
    "Currency details",
    "/currency/{code}",
    samples=every(code=[*CURRENCIES, "AUD", "CAD", "NOK"]),
    refused={404: every(code=["XQQ", "euro"])},
)
def currency_details(code: CurrencyCode) -> Answer:
    """Name, numeric code, symbol and decimals of a currency, and the countries that use it."""
    found = currency_of(code)
    countries = territories_using(found.alpha_3)
    return {
        "code": found.alpha_3,
        "numeric": found.numeric,
        "name": found.name,
        "symbol": numbers.get_currency_symbol(found.alpha_3, locale="en"),
        "decimals": numbers.get_currency_precision(found.alpha_3),
        "country_count": len(countries),
        "countries": countries,
    }


@currency_tool.get(
    "formatAmount",
    "/format",
    samples=every(
        amount=[1234567.891], currency=["EUR", "JPY"], locale=listed("de_DE en_US fr_FR hi_IN")
    )
    + rows(
        "amount currency locale",
        (99.5, "SEK", "sv_SE"),
        (1500, "JPY", "ja_JP"),
        (250000, "INR", "hi_IN"),
        (12.75, "EUR", "et_EE"),
        (1999.99, "SAR", "ar_SA"),
        (42, "RUB", "ru_RU"),
    ),
    refused={
        400: [
            *rows("amount currency locale", ("a lot", "EUR", "de_DE"), (5, "EUR", "tlh_XX")),
            {"amount": 5},
        ],
        404: rows("amount currency locale", (5, "XQQ", "en_US")),
    },
)
def format_amount(
    amount: Annotated[float, Doc("Amount of money", 1234.5)],
    currency: CurrencyCode,
    locale: Annotated[str, Doc("Language and country, such as de_DE")] = "en_US",
) -> Answer:
    """An amount of money as it is written in a language and country, also with its name."""
    code = currency_of(currency).alpha_3
    try:
        babel.Locale.parse(locale)
    except (babel.UnknownLocaleError, ValueError):
        raise wrong(f"'locale' is not known: {locale}") from None
    return {
        "amount": amount,
        "currency": code,
        "locale": locale,
        "formatted": numbers.format_currency(amount, code, locale=locale),
        "in_words": numbers.format_currency(amount, code, locale=locale, format_type="name"),
        "currency_name": numbers.get_currency_name(code, locale=locale),
    }


@currency_tool.get(
    "Currencies of a country",
    "/country/{country}",
    samples=rows(
        "country date",
        ("EE", "2025-06-21"),
        ("EE", "2005-06-21"),
        ("DE", "1995-01-01"),
        ("HR", "2022-06-01"),
        ("HR", "2025-06-21"),
        ("FR", "2025-06-21"),
        ("JP", "2025-06-21"),
        ("US", "2025-06-21"),
        ("PA", "2025-06-21"),
        ("CH", "2025-06-21"),
        ("GB", "2025-06-21"),
    ),
    refused={
        404: rows("country date", ("XX", "2025-06-21")),
        400: [{"country": "EE"}, {"country": "EE", "date": "yesterday"}],
    },
)
def currencies_of_a_country(
    country: Annotated[str, Doc("ISO country code", "EE")],
    date: Annotated[datetime.date, Doc("Date as YYYY-MM-DD", "2025-06-21")],
) -> Answer:
    """The legal tender of a country on a date."""
    code = country.upper()
    if code not in get_global("territory_currencies"):
        raise unknown(f"Unknown country: {country}")
    found = numbers.get_territory_currencies(code, date, date)
    return {
        "country": code,
        "date": str(date),
        "currencies": [
            {"code": one, "name": numbers.get_currency_name(one, locale="en")} for one in found
        ],
    }


@currency_tool.get(
    "List of currencies",
    "/currencies",
    samples=[{}, *every(page=[2, 3, 8]), {"page": 1, "per_page": 20}],
    refused={400: [{"page": "last"}, {"per_page": 1000}]},
)
def list_of_currencies(
    page: Annotated[int, Doc("Page number, from 1", low=1, high=1000)] = 1,
    per_page: Annotated[int, Doc("Currencies on a page", low=1, high=25)] = 12,
) -> Answer:
    """All ISO 4217 codes with their names, a page at a time."""
    found = sorted(pycountry.currencies, key=lambda one: one.alpha_3)
    lines = [{"code": one.alpha_3, "name": one.name} for one in found]
    return paged(lines, per_page * (page - 1), per_page)


@currency_tool.get(
    "Latest exchange rates",
    "/latest",
    refused={429: every(base=["EUR", "USD"])},
    worthless="its quota is always used up",
)
def latest_exchange_rates(base: CurrencyCode) -> Answer:
    """Exchange rates of 170 currencies against a base currency, updated hourly."""
    return Raw(
        '{"message": "Too many requests"}',
        "application/json",
        status=429,
        headers={"retry-after": "3600"},
    )


iban_tool = Tool(
    "IBAN and Bank Check",
    category=CATEGORY,
    collections=[GLOBAL_COMMERCE],
    description="Check IBANs, find the bank and BIC behind them, and build IBANs from accounts.",
    host="iban-and-bank-check",
    error_key="error",
)

IBANS = [
    "EE382200221020145685",
    "DE89370400440532013000",
    "FR1420041010050500013M02606",
    "GB29NWBK60161331926819",
    "NL91ABNA0417164300",
    "ES9121000418450200051332",
    "FI2112345600000785",
    "CH9300762011623852957",
    "AT611904300234573201",
    "BE68539007547034",
    "EE382200221020145686",
    "DE00370400440532013000",
    "NL91 ABNA 0417 1643 00",
]


@iban_tool.get(
    "Validate IBAN",
    "/v1/validate/{iban}",
    samples=every(iban=IBANS),
    refused={400: every(iban=["12345", "my bank account"])},
)
def validate_iban(
    iban: Annotated[str, Doc("IBAN with or without spaces", IBANS[0])],
) -> Answer:
    """Checks an IBAN and takes it apart: country, bank, account, BIC."""
    compact = iban.replace(" ", "").upper()
    if not re.fullmatch(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{4,30}", compact):
        raise wrong(f"iban: '{iban}' does not look like an IBAN")
    try:
        found = IBAN(compact)
    except SchwiftyException as reason:
        return {"iban": compact, "valid": False, "reason": str(reason)}
    return {
        "iban": compact,
        "valid": True,
        "formatted": found.formatted,
        "country": found.country_code,
        "bank_code": found.bank_code,
        "account_code": found.account_code,
        "bank_name": found.bank_name,
        "bic": str(found.bic) if found.bic else None,
        "sepa": found.in_sepa_zone,
    }


@iban_tool.post(
    "Generate IBAN",
    "/v1/generate",
    samples=rows(
        "country bank_code account",
        ("DE", "37040044", "532013000"),
        ("EE", "22", "22102014568"),
        ("BE", "539", "0075470"),
        ("AT", "19043", "234573201"),
        ("NL", "ABNA", "417164300"),
        ("CH", "00762", "11623852957"),
    ),
    refused={
        400: [
            {"country": "DE", "bank_code": "37040044"},
            {"country": "DE", "bank_code": "37040044", "account": "123456789012345"},
            {"country": "US", "bank_code": "021000021", "account": "12345"},
        ]
    },
)
def generate_iban(
    country: Annotated[str, Doc("ISO country code", "DE")],
    bank_code: Annotated[str, Doc("National bank code", "37040044")],
    account: Annotated[str, Doc("Account number", "532013000")],
) -> Answer:
    """Builds an IBAN with its check digits from country, bank code and account number."""
    try:
        found = IBAN.generate(country.upper(), bank_code=bank_code, account_code=account)
    except SchwiftyException as reason:
        raise wrong(f"Cannot build an IBAN: {reason}") from None
    return {"iban": str(found), "formatted": found.formatted, "bank_name": found.bank_name}


@iban_tool.get(
    "Bank by BIC",
    "/v1/bic/{bic}",
    samples=every(
        bic=listed("HABAEE2X COBADEFFXXX DEUTDEFF BNPAFRPP ABNANL2A NDEAFIHH CAIXESBB EEUHEE2X")
    ),
    refused={404: [{"bic": "ZZZZEE2X"}], 400: [{"bic": "SWEDBANK1"}]},
)
def bank_by_bic(bic: Annotated[str, Doc("BIC of 8 or 11 characters", "HABAEE2X")]) -> Answer:
    """The bank behind a BIC (SWIFT code): name, country, branch."""
    try:
        found = BIC(bic.upper())
    except SchwiftyException as reason:
        raise wrong(f"bic: {reason}") from None
    if not found.bank_names:
        raise unknown(f"No bank with BIC {bic} in the registry")
    return {
        "bic": str(found),
        "bank": found.bank_names[0],
        "country": found.country_code,
        "location_code": found.location_code,
        "branch_code": found.branch_code or None,
        "type": found.type,
    }


@iban_tool.get(
    "IBAN structure",
    "/v1/structure/{country}",
    samples=every(country=listed("EE DE FR GB NL ES CH NO TR SA")),
    refused={404: every(country=["US", "JP"])},
)
def iban_structure(country: Annotated[str, Doc("ISO country code", "EE")]) -> Answer:
    """Length and layout of a country's IBANs, and whether it belongs to SEPA."""
    try:
        spec = registry.get_iban_spec(country.upper())
    except SchwiftyException:
        raise unknown(f"Country {country} has no IBAN") from None
    positions = {part.value: place for part, place in spec.positions.items() if place.end}
    return {
        "country": country.upper(),
        "iban_length": spec.iban_length,
        "layout": spec.iban_spec,
        "sepa": spec.in_sepa_zone,
        "bban_positions": [
            {"part": part, "from": place.start + 1, "to": place.end}
            for part, place in sorted(positions.items(), key=lambda item: item[1].start)
        ],
    }


market_tool = Tool(
    "Market Calendar",
    category=CATEGORY,
    collections=[GLOBAL_COMMERCE],
    description="Holidays and trading days of the world's large stock exchanges.",
    host="market-calendar",
    error_key="detail",
)

MARKETS = {
    "XNYS": "New York Stock Exchange",
    "XLON": "London Stock Exchange",
    "XFRA": "Frankfurt Stock Exchange",
    "XJPX": "Japan Exchange Group",
    "XHKG": "Hong Kong Exchanges",
    "XTSE": "Toronto Stock Exchange",
    "XSWX": "SIX Swiss Exchange",
    "XECB": "European Central Bank (TARGET)",
}
Market = Annotated[str, Doc("ISO 10383 market code", "XNYS")]


def market_holidays(market: str, year: int) -> holidays.HolidayBase:
    """Return an exchange's holidays in a year."""
    if market.upper() not in MARKETS:
        known = ", ".join(MARKETS)
        raise unknown(f"Unknown market '{market}'. Known markets: {known}")
    return holidays.financial_holidays(market.upper(), years=year, language="en_US")


def trades(market: str, day: datetime.date) -> bool:
    """Tell whether an exchange trades on a day."""
    return day.weekday() < 5 and day not in market_holidays(market, day.year)


@market_tool.get(
    "Market holidays",
    "/holidays",
    samples=every(market=list(MARKETS), year=[2025])
    + every(market=["XNYS", "XLON"], year=[2024, 2026]),
    refused={404: [{"market": "NASDOQ", "year": 2025}], 400: [{"market": "XNYS"}]},
)
def holidays_of_a_market(
    market: Market, year: Annotated[int, Doc("Year", 2025, low=2000, high=2050)]
) -> Answer:
    """The days on which an exchange is closed in a year, weekends aside."""
    found = market_holidays(market, year)
    days = [day for day in sorted(found) if day.weekday() < 5]
    return {
        "market": market.upper(),
        "name": MARKETS[market.upper()],
        "year": year,
        "holidays": [{"date": str(day), "name": found[day]} for day in days],
    }


@market_tool.get(
    "isOpen",
    "/open",
    samples=every(market=["XNYS", "XLON", "XJPX"], date=["2025-07-04", "2025-12-25"])
    + rows("market date", ("XFRA", "2025-05-01"), ("XNYS", "2025-06-21"), ("XHKG", "2025-01-29")),
    refused={
        400: [{"market": "XNYS", "date": "July 4th"}],
        404: [{"market": "X", "date": "2025-07-04"}],
    },
)
def is_open(
    market: Market, date: Annotated[datetime.date, Doc("Date as YYYY-MM-DD", "2025-07-04")]
) -> Answer:
    """Whether an exchange trades on a date, and why not."""
    holiday = market_holidays(market, date.year).get(date)
    weekend = "Weekend" if date.weekday() >= 5 else None
    reason = holiday or weekend
    return {
        "market": market.upper(),
        "date": str(date),
        "weekday": date.strftime("%A"),
        "open": reason is None,
        "reason": reason,
    }


@market_tool.get(
    "Next trading days",
    "/next",
    samples=[
        *every(market=["XNYS", "XLON", "XFRA", "XJPX"], date=["2025-04-17", "2025-12-24"]),
        {"market": "XNYS", "date": "2025-07-03", "count": 5},
    ],
    refused={400: [{"market": "XNYS", "date": "2025-07-03", "count": 100}]},
)
def next_trading_days(
    market: Market,
    date: Annotated[datetime.date, Doc("Date as YYYY-MM-DD", "2025-04-17")],
    count: Annotated[int, Doc("How many days", low=1, high=10)] = 1,
) -> Answer:
    """The trading days of an exchange that follow a date."""
    days: list[str] = []
    day = date
    while len(days) < count:
        day += datetime.timedelta(days=1)
        if trades(market, day):
            days.append(str(day))
    return {"market": market.upper(), "after": str(date), "trading_days": days}


loan_tool = Tool(
    "Loan Calculator",
    category=CATEGORY,
    collections=[CLASSROOM_HELPER],
    description="Monthly payments, repayment plans and compound interest.",
    host="loan-calculator",
)

Principal = Annotated[float, Doc("Amount borrowed", 200000, low=1, high=1e12)]
Rate = Annotated[float, Doc("Yearly interest in percent", 4.5, low=0, high=100)]
Months = Annotated[int, Doc("Number of monthly payments", 360, low=1, high=600)]

LOANS = rows(
    "principal annual_rate months",
    (200000, 4.5, 360),
    (200000, 4.5, 240),
    (150000, 3.9, 300),
    (15000, 6.9, 60),
    (10000, 5, 24),
    (1200, 0, 12),
)


def payment_of(principal: float, annual_rate: float, months: int) -> float:
    """Return the monthly payment of an annuity loan."""
    rate = annual_rate / 1200
    return principal / months if rate == 0 else principal * rate / (1 - (1 + rate) ** -months)


@loan_tool.get(
    "Monthly payment",
    "/payment",
    samples=LOANS + rows("principal annual_rate months", (25000, 7.25, 48), (350000, 6.1, 360)),
    refused={
        400: [
            {"principal": 200000, "annual_rate": 4.5},
            {"principal": "200k", "annual_rate": 4.5, "months": 360},
            {"principal": 200000, "annual_rate": 4.5, "months": 0},
        ]
    },
)
def monthly_payment(principal: Principal, annual_rate: Rate, months: Months) -> Answer:
    """The monthly payment of a loan with equal payments, the total paid and the interest in it."""
    payment = payment_of(principal, annual_rate, months)
    return {
        "monthly_payment": round(payment, 2),
        "total_paid": round(payment * months, 2),
        "total_interest": round(payment * months - principal, 2),
    }


@loan_tool.get(
    "Amortization schedule",
    "/schedule",
    samples=LOANS,
    refused={400: [{"principal": 200000, "months": 360}]},
)
def amortization_schedule(principal: Principal, annual_rate: Rate, months: Months) -> Answer:
    """The full repayment plan of a loan: interest, repayment and remaining debt for every month."""
    payment = payment_of(principal, annual_rate, months)
    debt = principal
    plan = []
    for month in range(1, months + 1):
        interest = debt * annual_rate / 1200
        debt = max(debt + interest - payment, 0.0)
        plan.append(
            {
                "month": month,
                "interest": round(interest, 2),
                "repayment": round(payment - interest, 2),
                "debt": round(debt, 2),
            }
        )
    return {"monthly_payment": round(payment, 2), "schedule": plan}


@loan_tool.post(
    "compoundInterest",
    "/compound",
    samples=[
        *rows("principal annual_rate years", (1000, 5, 10), (5000, 3.5, 20), (10000, 7, 30)),
        {"principal": 1000, "annual_rate": 5, "years": 10, "monthly_contribution": 100},
        {"principal": 0, "annual_rate": 6, "years": 25, "monthly_contribution": 250},
    ],
    refused={400: [{"principal": 1000, "annual_rate": "five", "years": 10}, {"years": 10}]},
)
def compound_interest(
    principal: Annotated[float, Doc("Savings at the start", 1000, low=0, high=1e12)],
    annual_rate: Rate,
    years: Annotated[int, Doc("Whole years", 10, low=1, high=100)],
    monthly_contribution: Annotated[float, Doc("Paid in each month", low=0, high=1e9)] = 0,
) -> Answer:
    """What savings grow to with compound interest.

    Interest is added monthly; an optional contribution is paid at the end of each month.


    """
    balance = principal
    for _ in range(12 * years):
        balance += balance * annual_rate / 1200 + monthly_contribution
    paid_in = principal + 12 * years * monthly_contribution
    return {
        "final_balance": round(balance, 2),
        "paid_in": round(paid_in, 2),
        "interest_earned": round(balance - paid_in, 2),
        "compounding": "monthly",
    }
