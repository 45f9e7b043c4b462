package dsn_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
)

// judge reads a report on standard input as Python's email package and
// flufl.bounce do, and prints what it finds.
const judge = `
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
temporary, permanent = all_failures(email.message_from_bytes(raw))
print("temporary", sorted(a.decode() for a in temporary))
print("permanent", sorted(a.decode() for a in permanent))
`

func TestPythonJudges(t *testing.T) {
	python := pythonWithFlufl(t)
	all := reports()
	for name, want := range map[string]string{
		"failed": "parts text/plain message/delivery-status message/rfc822\n" +
			"recipient rfc822; robert@mail.example.net failed 5.1.1\noriginal <42@example.com>\n" +
			"temporary []\npermanent ['bob@example.net']\n",
		"two": "parts text/plain message/delivery-status message/rfc822\n" +
			"recipient rfc822; robert@mail.example.net failed 5.1.1\nrecipient rfc822; carol@example.org failed 4.4.7\noriginal <42@example.com>\n" +
			"temporary []\npermanent ['bob@example.net', 'carol@example.org']\n",
		"delayed": "parts text/plain message/delivery-status message/rfc822\n" +
			"recipient rfc822; dave@example.org delayed 4.4.1\noriginal <42@example.com>\n" +
			"temporary ['dave@example.org']\npermanent []\n",
		"relayed": "parts text/plain message/delivery-status message/rfc822\n" +
			"recipient rfc822; erin@example.org relayed 2.0.0\noriginal <42@example.com>\n" +
			"temporary []\npermanent []\n",
		"headers": "parts text/plain message/delivery-status text/rfc822-headers\n" +
			"recipient rfc822; robert@mail.example.net failed 5.1.1\n" +
			"temporary []\npermanent ['bob@example.net']\n",
	} {
		cmd := exec.Command(python, "-c", judge)
		cmd.Stdin = strings.NewReader(text(t, all[name]))
		out, err := cmd.CombinedOutput()
		if want := "type multipart/report delivery-status\ndefects []\n" + want; err != nil || string(out) != want {
			t.Errorf("%s: %v\n%s\nwant\n%s", name, err, out, want)
		}
	}
}

// pythonWithFlufl is an interpreter that has flufl.bounce: the first in the
// path, or Debian's own.
func pythonWithFlufl(t *testing.T) string {
	for _, python := range []string{peers.NeedPython(t), "/usr/bin/python3"} {
		if exec.Command(python, "-c", "import flufl.bounce").Run() == nil {
			t.Logf("peer: %s with flufl.bounce", python)
			return python
		}
	}
	if os.Getenv(peers.Strict) == "1" {
		t.Fatal("the peer flufl.bounce is not there (Debian: python3-flufl.bounce)")
	}
	t.Skip("needs flufl.bounce (Debian: python3-flufl.bounce)")
	return ""
}
