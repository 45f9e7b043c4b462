package sendsec

import (
	"os"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
)

// Settings that can never work, or that contradict each other, are errors that name
// them.
func TestWrongSettings(t *testing.T) {
	t.Parallel()
	key, _ := dkimKey(t, "org.example")
	open, text := peers.File(t, "x"), peers.File(t, "not a key\n")
	if err := os.Chmod(open, 0o644); err != nil {
		t.Fatal(err)
	}
	const dkim = "-send.dkim.domain org.example -send.dkim.selector s1 -send.dkim.key "
	for _, c := range []struct{ args, want string }{
		{"", ""},
		{dkim + key, ""},
		{dkim + key + " -filters.arc seal -send.internet.mta-sts -dnssec -send.internet.dane -send.internet.tls-reports tls@sales.org.example", ""},
		{"-tls encrypt -dnssec -send.internet.mta-sts -send.internet.dane", ""},
		{"-tls dane -dnssec -send.internet.dane", ""},
		{"-tls dane -dnssec", ""},
		{"-filters.arc check", ""},

		{"-tls dane", "needs answers that DNSSEC authenticates"},
		{"-send.internet.dane", "-send.internet.dane: needs -dnssec"},
		{"-tls domain -dnssec -send.internet.dane", "-send.internet.dane: has no effect at the TLS level domain"},
		{"-tls none -send.internet.mta-sts", "-send.internet.mta-sts: has no effect at the TLS level none"},
		{"-tls dane -dnssec -send.internet.mta-sts", "-send.internet.mta-sts: has no effect at the TLS level dane"},
		{dkim + key + " -tls none -send.internet.tls-reports tls@org.example", "-send.internet.tls-reports: there are no TLS sessions"},
		{"-send.internet.tls-reports tls@org.example", "-send.internet.tls-reports: needs a DKIM key for org.example"},
		{dkim + key + " -send.internet.tls-reports tls@example.org", "-send.internet.tls-reports: needs a DKIM key for example.org"},
		{dkim + key + " -send.internet.tls-reports org.example", `-send.internet.tls-reports: "org.example" is not an address`},
		{"-send.internet.tls-reports-organization Org", "-send.internet.tls-reports-organization: needs -send.internet.tls-reports"},
		{"-send.dkim.domain org.example", "-send.dkim.selector: is required"},
		{"-send.dkim.selector s1 -send.dkim.domain org.example", "-send.dkim.key: is required"},
		{"-send.dkim.selector s1 -send.dkim.key " + key, "-send.dkim.domain: is required"},
		{dkim + "/nowhere", "-send.dkim.key: open /nowhere"},
		{dkim + open, "other users can read or write it (mode 0644, want 0600)"},
		{dkim + text, "-send.dkim.key: " + text + ": not a PEM file"},
		{dkim + key + " -send.dkim.domain o..x", "-send.dkim.domain[1]: selector"},
		{dkim + key + " -send.dkim.domain ORG.example", "-send.dkim.domain[1]: ORG.example is there twice"},
		{dkim + key + " -send.dkim.selector s_/1", "-send.dkim.selector: selector"},
		{"-filters.arc seal", "-filters.arc: seal needs the key"},
		{"-filters.arc yes", `-filters.arc: "yes" is not one of none, check, seal`},
	} {
		var out, errs strings.Builder
		args := append([]string{"-check", "-spool", "/nowhere", "-hostname", "border.example"}, strings.Fields(c.args)...)
		status := testProgram(nil).Run(args, &out, &errs)
		if c.want == "" && status != 0 || c.want != "" && (status != 2 || !strings.Contains(errs.String(), c.want)) {
			t.Errorf("%s: status %d, want %q\n%s", c.args, status, c.want, errs.String())
		}
	}
}
