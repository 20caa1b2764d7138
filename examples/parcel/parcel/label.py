"""Labels: what is printed on a parcel."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Address:
    street: str
    city: str
    postcode: str


def parse_address(text: str) -> Address:
    """Read an address from three lines: street, city, postcode."""
    street, city, postcode = (line.strip() for line in text.strip().splitlines())
    return Address(street, city, postcode)


def render_label(address: Address) -> str:
    return f"{address.street}\n{address.postcode} {address.city}\n"
