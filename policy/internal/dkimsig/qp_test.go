package dkimsig

import "testing"

// RFC 6376, 2.11.
func TestDecodeQP(t *testing.T) {
	for in, want := range map[string]string{
		"joe@example.org":        "joe@example.org",
		"j=6Fe=40example=2eorg":  "joe@example.org",
		"joe\r\n\t@ example.org": "joe@example.org",
		"=3D":                    "=",
		"=C3=A9":                 "é",
		"":                       "",
	} {
		if got, err := DecodeQP(in); err != nil || got != want {
			t.Errorf("%q: %q, %v, want %q", in, got, err, want)
		}
	}
	for _, in := range []string{"=", "a=4", "=4 0", "=XY", "==40"} {
		if got, err := DecodeQP(in); err == nil {
			t.Errorf("%q: %q", in, got)
		}
	}
}
