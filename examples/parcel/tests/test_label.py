from parcel.label import parse_address, render_label


def test_a_label_shows_the_postcode_before_the_city():
    assert render_label(parse_address("Quay 1\nHamburg\n20457")) == "Quay 1\n20457 Hamburg\n"
