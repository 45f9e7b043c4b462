package addr

import "testing"

// Two addresses have the same key if and only if they are equal.
func TestKeyOf(t *testing.T) {
	all := []string{
		"", "a", "a@", "@", "@b.example", "postmaster", "Postmaster", "a@b.example", "A@b.example", "a@B.Example", "a@b.example.",
		"a@bücher.example", "a@BÜCHER.example", "a@xn--bcher-kva.example", "a@b..example", "a@B..example", `"a@b"@c.example`, `"a@b`, "a@b@c.example",
		"a@[192.0.2.1]", "a@[192.0.2.2]", "ü@b.example", "a@b。example",
	}
	for _, a := range all {
		for _, b := range all {
			if got, want := KeyOf(a) == KeyOf(b), Equal(a, b); got != want {
				t.Errorf("the keys of %q and %q are equal: %v, want %v", a, b, got, want)
			}
		}
	}
}
