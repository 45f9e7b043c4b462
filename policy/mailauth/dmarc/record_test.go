package dmarc

import (
	"fmt"
	"strings"
	"testing"
)

func TestParseRecord(t *testing.T) {
	const uris = " rua=mailto:a@x.example"
	for _, c := range []struct{ txt, want string }{
		{"v=DMARC1; p=reject", "p=reject"},
		{"v=DMARC1;p=reject;", "p=reject"},
		{"v = DMARC1 ; P = Quarantine ; SP=none; np=REJECT", "p=quarantine sp=none np=reject"},
		{"v=DMARC1; p=none; adkim=s; aspf=s; t=y; psd=n; fo=1:d", "p=none adkim aspf t psd=n fo=1:d"},
		{"v=DMARC1; p=none; adkim=x; aspf=; t=maybe; psd=q; fo=z", "p=none"},
		{"v=DMARC1; psd=y; p=reject", "p=reject psd=y"},
		{"v=DMARC1; p=reject; p=none; unknown=1; =; ;garbage; 9=1", "p=reject"},
		{"v=DMARC1; p=reject; pct=20", "p=reject pct=20"},
		{"v=DMARC1; p=reject; pct=200", "p=reject error"},
		{"v=DMARC1; p=reject; rua=mailto:a@x.example!10m, https://x.example/r , nonsense,", "p=reject rua=mailto:a@x.example|https://x.example/r error"},
		{"v=DMARC1; p=reject; ruf=mailto:f@x.example", "p=reject ruf=mailto:f@x.example"},
		// RFC 9989, 4.7: no p= is p=none, with and without rua.
		{"v=DMARC1;" + uris, "p=none rua=mailto:a@x.example error"},
		{"v=DMARC1", "p=none error"},
		{"v=DMARC1; sp=reject; np=quarantine; adkim=s", "p=none sp=reject np=quarantine adkim error"},
		{"v=DMARC1; psd=y; np=reject", "p=none np=reject psd=y error"},
		// RFC 9989, 4.10.1: an invalid policy, with and without rua.
		{"v=DMARC1; p=;" + uris, "p=none rua=mailto:a@x.example error"},
		{"v=DMARC1; p=", "p=none unusable error"},
		{"v=DMARC1; p", "p=none unusable error"},
		{"v=DMARC1; sp=bogus", "p=none unusable error"},
		{"v=DMARC1; p=bogus;" + uris, "p=none rua=mailto:a@x.example error"},
		{"v=DMARC1; p=reject; sp=bogus;" + uris, "p=none rua=mailto:a@x.example error"},
		{"v=DMARC1; p=reject; np=bogus;" + uris, "p=none rua=mailto:a@x.example error"},
		{"v=DMARC1; p=bogus", "p=none unusable error"},
		{"v=DMARC1; p=reject; sp=bogus; rua=bogus", "p=none unusable error"},
		{"v=DMARC1; p=reject; rua=" + strings.TrimSuffix(strings.Repeat("mailto:a@x.example,", 11), ","), "p=reject rua=" + strings.TrimSuffix(strings.Repeat("mailto:a@x.example|", 10), "|") + " error"},
		{"v=dmarc1; p=reject", "not a DMARC record"},
		{"v=DMARC2; p=reject", "not a DMARC record"},
		{"v=DMARC1x; p=reject", "not a DMARC record"},
		{"p=reject; v=DMARC1", "not a DMARC record"},
		{"; v=DMARC1", "not a DMARC record"},
		{"V=DMARC1; P=reject", "p=reject"},
		{"", "not a DMARC record"},
	} {
		if got := describe(ParseRecord(c.txt)); got != c.want {
			t.Errorf("%q:\n got %s\nwant %s", c.txt, got, c.want)
		}
	}
}

func describe(r *Record, err error) string {
	if err != nil {
		return err.Error()
	}
	var b strings.Builder
	say := func(is bool, format string, args ...any) {
		if is {
			fmt.Fprintf(&b, " "+format, args...)
		}
	}
	say(true, "p=%s", r.Policy)
	say(r.SubdomainPolicy != "", "sp=%s", r.SubdomainPolicy)
	say(r.NonexistentPolicy != "", "np=%s", r.NonexistentPolicy)
	say(r.StrictDKIM, "adkim")
	say(r.StrictSPF, "aspf")
	say(r.Testing, "t")
	say(r.PSD != 'u', "psd=%c", r.PSD)
	say(r.Percent != 100, "pct=%d", r.Percent)
	say(r.FailureOptions != "0", "fo=%s", r.FailureOptions)
	say(len(r.Reports) > 0, "rua=%s", strings.Join(r.Reports, "|"))
	say(len(r.FailureReports) > 0, "ruf=%s", strings.Join(r.FailureReports, "|"))
	say(r.unusable, "unusable")
	say(r.Err != nil, "error")
	return strings.TrimSpace(b.String())
}

// The errors of a record take one or two lines, for a record of any length.
func TestErrorsAreBrief(t *testing.T) {
	r, err := ParseRecord("v=DMARC1; p=reject; rua=" + strings.Repeat("x,", 30_000) + "; ruf=" + strings.Repeat("y,", 30_000))
	if err != nil || r.Err == nil || len(r.Err.Error()) > 200 {
		t.Errorf("%v, %.300v", err, r.Err)
	}
}

func FuzzParseRecord(f *testing.F) {
	f.Add("v=DMARC1; p=reject; rua=mailto:a@b!10m,https://c; sp=none; pct=5; psd=y; t=y")
	f.Add("v=DMARC1;;;=;p=")
	f.Fuzz(func(t *testing.T, txt string) {
		r, err := ParseRecord(txt)
		if err != nil {
			return
		}
		for _, d := range []Disposition{r.Policy, r.SubdomainPolicy, r.NonexistentPolicy} {
			if d != "" && d != NoAction && d != Quarantine && d != Reject {
				t.Errorf("%q: policy %q", txt, d)
			}
		}
		if r.Policy == "" || len(r.Reports) > maxURIs || r.Percent < 0 || r.Percent > 100 {
			t.Errorf("%q: %+v", txt, r)
		}
	})
}
