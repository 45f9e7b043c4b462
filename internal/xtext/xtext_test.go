package xtext

import (
	"strings"
	"testing"
	"unicode"
)

func TestXtext(t *testing.T) {
	for _, c := range []struct{ raw, enc string }{
		{"", ""},
		{"user@example.org", "user@example.org"},
		{"a+b=c", "a+2Bb+3Dc"},
		{"two words", "two+20words"},
		{"\x00\xff", "+00+FF"},
	} {
		if got := Encode(c.raw); got != c.enc {
			t.Errorf("Encode(%q) = %q, want %q", c.raw, got, c.enc)
		}
		if got, err := Decode(c.enc); err != nil || got != c.raw {
			t.Errorf("Decode(%q) = %q, %v, want %q", c.enc, got, err, c.raw)
		}
	}
	for enc, raw := range map[string]string{"a+2bb": "a+b", "a=b": "a=b", "=": "=", "+c3+A4": "ä"} { // as Postfix
		if got, err := Decode(enc); err != nil || got != raw {
			t.Errorf("Decode(%q) = %q, %v, want %q", enc, got, err, raw)
		}
	}
	for _, bad := range []string{"+", "+2", "+2g", "+GG", "a b", "\x7f", "ä", "ok+2"} {
		if got, err := Decode(bad); err == nil {
			t.Errorf("Decode(%q) = %q, want an error", bad, got)
		}
	}
}

func TestUTF8Addr(t *testing.T) {
	for _, c := range []struct{ raw, unitext, ascii string }{
		{"jörg@example.org", "jörg@example.org", `j\x{F6}rg@example.org`},
		{`a+b\c@x`, `a\x{2B}b\x{5C}c@x`, `a\x{2B}b\x{5C}c@x`},
		{"用户@x", "用户@x", `\x{7528}\x{6237}@x`},
		{"😀@x", "😀@x", `\x{1F600}@x`},
	} {
		if got := EncodeUTF8Addr(c.raw, false); got != c.unitext {
			t.Errorf("unitext of %q = %q, want %q", c.raw, got, c.unitext)
		}
		if got := EncodeUTF8Addr(c.raw, true); got != c.ascii {
			t.Errorf("xtext of %q = %q, want %q", c.raw, got, c.ascii)
		}
		for _, enc := range []string{c.unitext, c.ascii} {
			if got, err := DecodeUTF8Addr(enc); err != nil || got != c.raw {
				t.Errorf("DecodeUTF8Addr(%q) = %q, %v, want %q", enc, got, err, c.raw)
			}
		}
	}
	for enc, raw := range map[string]string{`\x{f6}`: "ö", `\x{0F6}`: "ö", `\x{41}`: "A", "a+b=c": "a+b=c"} { // as Postfix
		if got, err := DecodeUTF8Addr(enc); err != nil || got != raw {
			t.Errorf("DecodeUTF8Addr(%q) = %q, %v, want %q", enc, got, err, raw)
		}
	}
	for _, bad := range []string{`\`, `\x{`, `\x{}`, `\x{g}`, `\x{D800}`, `\x{110000}`, `\x{1234567}`, `\x{00}`, "a b", "\xff",
		"a\u0080b", "a\u0085b", "a\u009fb", `a\x{80}b`, `a\x{85}b`, `a\x{9F}b`} {
		if got, err := DecodeUTF8Addr(bad); err == nil {
			t.Errorf("DecodeUTF8Addr(%q) = %q, want an error", bad, got)
		}
	}
}

// Control characters are always encoded.
func TestEncodeUTF8AddrControls(t *testing.T) {
	for r := range rune(0x110) {
		for _, ascii := range []bool{false, true} {
			got := EncodeUTF8Addr("a"+string(r)+"b", ascii)
			if strings.ContainsFunc(got, unicode.IsControl) {
				t.Errorf("%U, ascii %v: %q", r, ascii, got)
			}
		}
	}
	if got, want := EncodeUTF8Addr("a\u0085b\u00a0c", false), "a\\x{85}b\u00a0c"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// Decode returns the encoded text. If a text can be decoded, the result can be
// encoded and decoded again.
func FuzzXtext(f *testing.F) {
	for _, s := range []string{"", "a+b", "+2B", "jörg", `\x{F6}`, "+", `\x{`, "\xff", "😀 ="} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if got, err := Decode(Encode(s)); err != nil || got != s {
			t.Errorf("Decode(Encode(%q)) = %q, %v", s, got, err)
		}
		if raw, err := Decode(s); err == nil {
			if again, err := Decode(Encode(raw)); err != nil || again != raw {
				t.Errorf("%q is decoded as %q, %v", raw, again, err)
			}
		}
		if raw, err := DecodeUTF8Addr(s); err == nil {
			for _, ascii := range []bool{false, true} {
				if again, err := DecodeUTF8Addr(EncodeUTF8Addr(raw, ascii)); err != nil || again != raw {
					t.Errorf("%q is decoded as %q, %v", raw, again, err)
				}
			}
		}
	})
}
