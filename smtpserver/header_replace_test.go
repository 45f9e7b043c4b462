package smtpserver

import "testing"

func TestHeaderReplaceKeepsOrder(t *testing.T) {
	var h Header
	if err := h.Append("Received: a\r\nSubject: old\r\n\tfolded\r\nX-Gone: 1\r\nTo: b\r\n"); err != nil {
		t.Fatal(err)
	}
	edit := func(f Field) (string, bool) {
		switch {
		case f.Is("subject"):
			return "Subject: new\r\nX-More: 2\r\n", true
		case f.Is("X-Gone"):
			return "", true
		}
		return "", false
	}
	if err := h.Replace(edit); err != nil {
		t.Fatal(err)
	}
	var got string
	for _, f := range h.Fields() {
		got += string(f)
	}
	if want := "Received: a\r\nSubject: new\r\nX-More: 2\r\nTo: b\r\n"; got != want {
		t.Errorf("header is %q, want %q", got, want)
	}
	for _, bad := range []string{"Subject: x\r\n\r\nbody", "no field\r\n", "Subject: x", "Subject: a\nB: c\r\n"} {
		if err := h.Replace(func(f Field) (string, bool) { return bad, f.Is("To") }); err == nil {
			t.Errorf("%q was taken for a field", bad)
		}
		if h.Get("To") != "b" {
			t.Errorf("%q was refused but changed the header", bad)
		}
	}
}
