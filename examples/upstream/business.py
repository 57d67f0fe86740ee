"""Business: telephone numbers, VAT numbers, and the codes on goods, books and securities."""

import importlib
from typing import Annotated, Any

import phonenumbers
import pycountry
import stdnum
import stdnum.ean
import stdnum.isbn
import stdnum.isin
import stdnum.lei
from stdnum import numdb
from stdnum.exceptions import ValidationError

from .core import (
    GLOBAL_COMMERCE,
    TRAVEL_PLANNER,
    Answer,
    Doc,
    Tool,
    every,
    listed,
    rows,
    unknown,
    wrong,
)

CATEGORY = "Business"

phone_tool = Tool(
    "Phone Number Lookup",
    category=CATEGORY,
    collections=[GLOBAL_COMMERCE, TRAVEL_PLANNER],
    description="Checks and formats telephone numbers of every country.",
    host="phone-number-lookup",
)

PHONES = rows(
    "number country",
    ("6401111", "EE"),
    ("5123456", "EE"),
    ("2079460958", "GB"),
    ("212 555 2368", "US"),
    ("030 901820", "DE"),
    ("01 42 68 53 00", "FR"),
    ("03-3224-9999", "JP"),
    ("+358 9 1601", "FI"),
    ("123", "EE"),
)
PhoneNumber = Annotated[str, Doc("Number, national or starting with +", "6401111")]
CountryCode = Annotated[str, Doc("ISO code of the number's country", "EE")]

TYPE_NAMES = {
    number: name.lower()
    for name, number in vars(phonenumbers.PhoneNumberType).items()
    if name.isupper()
}


def parsed(number: str, country: str) -> phonenumbers.PhoneNumber:
    """Read a telephone number."""
    if country.upper() not in phonenumbers.SUPPORTED_REGIONS:
        raise unknown(f"Unknown country '{country}'")
    try:
        return phonenumbers.parse(number, country.upper())
    except phonenumbers.NumberParseException as reason:
        raise wrong(f"number: {str(reason).rstrip('.')}") from None


@phone_tool.get(
    "Validate",
    "/validate",
    samples=PHONES,
    refused={400: [{"number": "call me", "country": "EE"}, {"country": "EE"}]},
)
def validate(number: PhoneNumber, country: CountryCode) -> Answer:
    """Whether a telephone number can exist, its country and its kind."""
    found = parsed(number, country)
    valid = phonenumbers.is_valid_number(found)
    return {
        "number": number,
        "valid": valid,
        "country": phonenumbers.region_code_for_number(found),
        "calling_code": found.country_code,
        "type": TYPE_NAMES[phonenumbers.number_type(found)] if valid else None,
    }


@phone_tool.get(
    "format",
    "/format",
    samples=PHONES[:8],
    refused={400: [{"number": "6401111"}], 404: rows("number country", ("6401111", "XX"))},
)
def format_number(number: PhoneNumber, country: CountryCode) -> Answer:
    """A telephone number in E.164, international, national and RFC 3966 form."""
    found = parsed(number, country)
    forms = phonenumbers.PhoneNumberFormat
    return {
        name: phonenumbers.format_number(found, form)
        for name, form in [
            ("e164", forms.E164),
            ("international", forms.INTERNATIONAL),
            ("national", forms.NATIONAL),
            ("rfc3966", forms.RFC3966),
        ]
    }


@phone_tool.get(
    "Country calling code",
    "/callingcode/{country}",
    samples=every(country=listed("EE FR DE US GB JP BR IN FI IT SG AU")),
    refused={404: [{"country": "XX"}]},
)
def country_calling_code(country: CountryCode) -> Answer:
    """The international calling code of a country, and which others share it."""
    code = phonenumbers.country_code_for_region(country.upper())
    if code == 0:
        raise unknown(f"Unknown country '{country}'")
    others = phonenumbers.COUNTRY_CODE_TO_REGION_CODE[code]
    return {
        "country": country.upper(),
        "calling_code": f"+{code}",
        "shared_with": [other for other in others if other != country.upper()],
    }


@phone_tool.get(
    "Example number",
    "/example/{country}",
    samples=[*every(country=listed("EE FR US JP")), *every(country=["EE", "FR"], kind=["mobile"])],
    refused={400: [{"country": "EE", "kind": "fax"}], 404: [{"country": "QQ"}]},
)
def example_number(
    country: CountryCode,
    kind: Annotated[
        str, Doc("Kind of number", choices=("fixed_line", "mobile", "toll_free"))
    ] = "fixed_line",
) -> Answer:
    """A number that would be valid in a country: a pattern to show in a form."""
    wanted = getattr(phonenumbers.PhoneNumberType, kind.upper())
    found = phonenumbers.example_number_for_type(country.upper(), wanted)
    if found is None:
        raise unknown(f"No {kind} example for country '{country}'")
    form = phonenumbers.PhoneNumberFormat.INTERNATIONAL
    return {
        "country": country.upper(),
        "kind": kind,
        "example": phonenumbers.format_number(found, form),
    }


vat_tool = Tool(
    "VAT and Company Numbers",
    category=CATEGORY,
    collections=[GLOBAL_COMMERCE],
    description="Checks the form and check digits of VAT and company numbers. No register look-up.",
    host="vat-and-company-numbers",
    error_key="error",
)

VAT_COUNTRIES = listed(
    "AT BE BG CH CY CZ DE DK EE ES FI FR GB GR HR HU IE IT LT LU LV MT NL NO PL PT RO SE SI SK"
)
COMPANY_NUMBERS = {
    "AU": ("stdnum.au.abn", "Australian Business Number"),
    "BR": ("stdnum.br.cnpj", "Cadastro Nacional da Pessoa Jurídica"),
    "EE": ("stdnum.ee.registrikood", "Registrikood"),
    "FI": ("stdnum.fi.ytunnus", "Y-tunnus"),
    "FR": ("stdnum.fr.siren", "SIREN"),
    "NO": ("stdnum.no.orgnr", "Organisasjonsnummer"),
    "SE": ("stdnum.se.orgnr", "Organisationsnummer"),
    "US": ("stdnum.us.ein", "Employer Identification Number"),
}


@vat_tool.get(
    "Check VAT number",
    "/vat/{country}/{number}",
    samples=rows(
        "country number",
        ("EE", "100931558"),
        ("EE", "100594102"),
        ("EE", "100594103"),
        ("DE", "136695976"),
        ("FR", "40303265045"),
        ("GB", "980780684"),
        ("NL", "004495445B01"),
        ("FI", "20774740"),
        ("PL", "8567346215"),
        ("IT", "00743110157"),
        ("DE", "12345"),
    ),
    refused={404: rows("country number", ("US", "123456789"))},
)
def check_vat_number(
    country: Annotated[str, Doc("ISO country code", "EE")],
    number: Annotated[str, Doc("VAT number without the country prefix", "100594102")],
) -> Answer:
    """Whether a VAT number has the right form and check digits for its country."""
    code = country.upper()
    if code not in VAT_COUNTRIES:
        raise unknown(f"VAT numbers of country '{country}' are not supported")
    module: Any = stdnum.get_cc_module(code.lower(), "vat")
    return {"country": code} | checked(module, number)


def checked(module: Any, number: str) -> dict[str, Any]:
    """Return whether a number is valid, its compact form, and why it is not valid."""
    try:
        return {"number": module.validate(number), "valid": True, "reason": None}
    except ValidationError as reason:
        return {"number": number, "valid": False, "reason": str(reason)}


@vat_tool.get(
    "Check company number",
    "/company/{country}/{number}",
    samples=rows(
        "country number",
        ("EE", "12345678"),
        ("EE", "10137319"),
        ("FI", "2077474-0"),
        ("FR", "552008443"),
        ("AU", "83914571673"),
        ("NO", "988077917"),
        ("SE", "1234567897"),
        ("BR", "16727230000197"),
        ("US", "911144442"),
    ),
    refused={404: rows("country number", ("XX", "1"), ("JP", "5835678256246"))},
)
def check_company_number(
    country: Annotated[str, Doc("ISO country code", "EE")],
    number: Annotated[str, Doc("Registration number", "12345678")],
) -> Answer:
    """Whether a company registration number has the right form and check digits."""
    code = country.upper()
    if code not in COMPANY_NUMBERS:
        raise unknown(f"Company numbers of country '{country}' are not supported")
    module, name = COMPANY_NUMBERS[code]
    return {"country": code, "kind": name} | checked(importlib.import_module(module), number)


@vat_tool.get(
    "Supported countries",
    "/countries",
    samples=[{}, *every(kind=["vat", "company"])],
    refused={400: [{"kind": "tax"}]},
)
def supported_countries(
    kind: Annotated[str, Doc("Kind of number", choices=("vat", "company"))] = "vat",
) -> Answer:
    """The countries whose VAT or company numbers can be checked."""
    codes = VAT_COUNTRIES if kind == "vat" else list(COMPANY_NUMBERS)
    return {"kind": kind, "countries": codes}


codes_tool = Tool(
    "Barcode and ISBN",
    category=CATEGORY,
    collections=[GLOBAL_COMMERCE],
    description="Check digits of barcodes, books (ISBN), securities (ISIN) and firms (LEI).",
    host="barcode-and-isbn",
    error_key="detail",
)


@codes_tool.get(
    "ISBN",
    "/isbn/{isbn}",
    samples=every(
        isbn=listed(
            "9780306406157 0306406152 9783161484100 9780141439518 9782070360024 9789985622155 "
            "9780306406158 978-4-00-310101-8"
        )
    ),
    refused={400: every(isbn=["my book"])},
)
def isbn_parts(isbn: Annotated[str, Doc("ISBN-10 or ISBN-13", "9780306406157")]) -> Answer:
    """Checks an ISBN, splits it and gives both of its lengths and its language group."""
    compact = stdnum.isbn.compact(isbn)
    if len(compact) not in (10, 13):
        raise wrong(f"isbn: '{isbn}' has neither 10 nor 13 characters")
    if not stdnum.isbn.is_valid(compact):
        return {"isbn": isbn, "valid": False}
    long = stdnum.isbn.to_isbn13(compact)
    about = numdb.get("isbn").info(long)
    prefix, group, publisher, _, _ = stdnum.isbn.split(long)
    return {
        "isbn": isbn,
        "valid": True,
        "isbn13": stdnum.isbn.format(long),
        "isbn10": stdnum.isbn.to_isbn10(long) if prefix == "978" else None,
        "group": group,
        "group_name": about[1][1].get("agency"),
        "publisher_prefix": publisher or None,
    }


@codes_tool.get(
    "Check barcode",
    "/ean/{code}",
    samples=every(
        code=listed("73513537 4006381333931 5901234123457 036000291452 5901234123458 96385074")
    ),
    refused={400: every(code=["123", "barcode"])},
)
def check_barcode(code: Annotated[str, Doc("Digits of the barcode", "4006381333931")]) -> Answer:
    """Checks an EAN-8, EAN-13 or UPC-A barcode, and gives the check digit that would be right."""
    if not code.isdigit() or len(code) not in (8, 12, 13):
        raise wrong(f"code: '{code}' must have 8, 12 or 13 digits")
    right = stdnum.ean.calc_check_digit(code[:-1])
    return {
        "code": code,
        "kind": {8: "EAN-8", 12: "UPC-A", 13: "EAN-13"}[len(code)],
        "valid": right == code[-1],
        "check_digit": right,
    }


@codes_tool.get(
    "Check ISIN",
    "/isin/{isin}",
    samples=every(
        isin=listed(
            "US0378331005 US5949181045 DE0007164600 FR0000120271 GB0002634946 JP3633400001 "
            "US0378331006"
        )
    ),
    refused={400: every(isin=["APPLE"])},
)
def check_isin(isin: Annotated[str, Doc("ISIN of 12 characters", "US0378331005")]) -> Answer:
    """Checks the ISIN of a security and names the country it was issued in."""
    if len(isin) != 12:
        raise wrong(f"isin: '{isin}' must have 12 characters")
    country = pycountry.countries.get(alpha_2=isin[:2].upper())
    return {
        "isin": isin.upper(),
        "valid": stdnum.isin.is_valid(isin),
        "country": country.name if country else None,
        "national_number": isin[2:11].upper(),
    }


@codes_tool.get(
    "checkLEI",
    "/lei/{lei}",
    samples=every(lei=listed("213800KUD8LAJWSQ9D15 HWUPKR0MPOU8FGXBT394 213800KUD8LAJWSQ9D16")),
    refused={400: every(lei=["LEI-1"])},
)
def check_lei(lei: Annotated[str, Doc("LEI of 20 characters", "213800KUD8LAJWSQ9D15")]) -> Answer:
    """Checks the Legal Entity Identifier of a firm."""
    if len(lei) != 20:
        raise wrong(f"lei: '{lei}' must have 20 characters")
    return {"lei": lei.upper(), "valid": stdnum.lei.is_valid(lei), "issuer_prefix": lei[:4]}
