package dsn_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
)

// pythonReader reads a report from standard input with Python's email package
// and flufl.bounce, and prints what it finds.
const pythonReader = `
import sys, email, email.policy
from flufl.bounce import all_failures
raw = sys.stdin.buffer.read()
m = email.message_from_bytes(raw, policy=email.policy.default)
print("type", m.get_content_type(), m.get_param("report-type"))
print("defects", [type(d).__name__ for p in m.walk() for d in p.defects])
parts = list(m.iter_parts()) if m.is_multipart() else []
print("parts", " ".join(p.get_content_type() for p in parts))
for p in parts:
    if p.get_content_type() == "message/delivery-status":
        for g in list(p.iter_parts())[1:]:
            print("recipient", g["Final-Recipient"], g["Action"], g["Status"])
    if p.get_content_type() == "message/rfc822":
        print("original", p.get_payload(0)["Message-ID"])
    if p.get_content_type() == "text/rfc822-headers":
        print("header", email.message_from_string(p.get_content())["Subject"])
temporary, permanent = all_failures(email.message_from_bytes(raw))
print("temporary", sorted(a.decode() for a in temporary))
print("permanent", sorted(a.decode() for a in permanent))
`

// Python finds no defect in a report, and the right recipients.
func TestPythonEmail(t *testing.T) {
	python := pythonWithFlufl(t)
	all := reports()
	const three, header = "parts text/plain message/delivery-status message/rfc822\n", "parts text/plain message/delivery-status text/rfc822-headers\n"
	const robert, bob = "recipient rfc822; robert@mail.example.net failed 5.1.1\n", "temporary []\npermanent ['bob@example.net']\n"
	for name, want := range map[string]string{
		"failed":        three + robert + "original <42@example.com>\n" + bob,
		"two":           three + robert + "recipient rfc822; carol@example.org failed 4.4.7\noriginal <42@example.com>\ntemporary []\npermanent ['bob@example.net', 'carol@example.org']\n",
		"delayed":       three + "recipient rfc822; dave@example.org delayed 4.4.1\noriginal <42@example.com>\ntemporary ['dave@example.org']\npermanent []\n",
		"relayed":       three + "recipient rfc822; erin@example.org relayed 2.0.0\noriginal <42@example.com>\ntemporary []\npermanent []\n",
		"headers":       header + robert + "header Lunch\n" + bob,
		"utf8 headers":  header + robert + "header Grüße\n" + bob,
		"sender utf8":   three + robert + "original <42@example.com>\n" + bob,
		"eight bit":     three + robert + "original None\n" + bob,
		"binary":        header + robert + "header Lunch\n" + bob,
		"reply in utf8": three + robert + "original <42@example.com>\n" + bob,
		"null MX":       three + "recipient rfc822; frank@null.example failed 5.1.10\noriginal <42@example.com>\ntemporary []\npermanent ['frank@null.example']\n",
		"utf8 to utf8":  "parts text/plain message/global-delivery-status message/global\ntemporary []\npermanent []\n",
	} {
		got := run(t, text(t, all[name]), python, "-c", pythonReader)
		if want := "type multipart/report delivery-status\ndefects []\n" + want; got != want {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, want)
		}
	}
}

// perlReader reads a report from standard input with Perl's
// Mail::DeliveryStatus::BounceParser, and prints what it finds.
const perlReader = `
use Mail::DeliveryStatus::BounceParser;
local $/;
my $b = Mail::DeliveryStatus::BounceParser->new(scalar <STDIN>);
print "bounce ", ($b->is_bounce ? 1 : 0), "\n";
for my $r ($b->reports) {
    print join(" | ", map { $r->get($_) =~ s/\s+/ /gr } qw(email status std_reason reason)), "\n";
}
`

// The parser finds a reason for every failure, also if no host replied.
func TestPerlBounceParser(t *testing.T) {
	perl, err := exec.LookPath("perl")
	if err != nil || exec.Command(perl, "-e", "use Mail::DeliveryStatus::BounceParser").Run() != nil {
		missing(t, "Mail::DeliveryStatus::BounceParser", "libmail-deliverystatus-bounceparser-perl")
	}
	all := reports()
	const bob = "bounce 1\nbob@example.net | 5.1.1 | user_unknown | 550 5.1.1 No such user here\n"
	for name, want := range map[string]string{
		"failed":        bob,
		"two":           bob + "carol@example.org | 4.4.7 | domain_error | connect to mx.example.org: connection refused\n",
		"delayed":       "bounce 0\n",
		"relayed":       "bounce 0\n",
		"headers":       bob,
		"utf8 headers":  bob,
		"sender utf8":   bob,
		"eight bit":     bob,
		"binary":        bob,
		"reply in utf8": "bounce 1\nbob@example.net | 5.1.1 | user_unknown | 550 5.1.1 \\x{41F}\\x{43E}\\x{447}\\x{442}\\x{43E}\\x{432}\\x{44B}\\x{439} \\x{44F}\\x{449}\\x{438}\\x{43A} \\x{43D}\\x{435} \\x{43D}\\x{430}\\x{439}\\x{434}\\x{435}\\x{43D}\n",
		"null MX":       "bounce 1\nfrank@null.example | 5.1.10 | unknown | null.example: the domain accepts no mail (null MX)\n",
	} {
		// The parser expects the line endings of a mailbox file.
		if got := run(t, strings.ReplaceAll(text(t, all[name]), "\r\n", "\n"), perl, "-e", perlReader); got != want {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, want)
		}
	}
}

// run starts a program with text as its input, and returns its output.
func run(t *testing.T, text string, program string, args ...string) string {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Stdin = strings.NewReader(text)
	cmd.Env = append(os.Environ(), "PYTHONIOENCODING=utf-8")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%s: %v\n%s", program, err, out)
	}
	return string(out)
}

// missing skips a test because its peer is not installed, or fails it if
// peers.Strict is set.
func missing(t *testing.T, peer, debian string) {
	t.Helper()
	if os.Getenv(peers.Strict) == "1" {
		t.Fatalf("the peer %s is missing (Debian: %s)", peer, debian)
	}
	t.Skipf("needs %s (Debian: %s)", peer, debian)
}

// pythonWithFlufl returns a Python interpreter that has flufl.bounce: the first
// one in the path, or Debian's own.
func pythonWithFlufl(t *testing.T) string {
	for _, python := range []string{peers.NeedPython(t), "/usr/bin/python3"} {
		if exec.Command(python, "-c", "import flufl.bounce").Run() == nil {
			t.Logf("peer: %s with flufl.bounce", python)
			return python
		}
	}
	missing(t, "flufl.bounce", "python3-flufl.bounce")
	return ""
}
