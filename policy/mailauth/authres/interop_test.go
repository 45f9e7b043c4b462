package authres

import (
	"bytes"
	"os/exec"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
)

const pythonParse = `
import sys, authres
h = authres.AuthenticationResultsHeader.parse(sys.stdin.read())
print(h.authserv_id)
for r in h.results:
    print(r.method, r.result, *[p.type + '.' + p.name + '=' + p.value for p in r.properties])
`

// The Python library authres (Debian's package python3-authres) parses our field.
func TestPeerParses(t *testing.T) {
	cmd := exec.Command(peers.Need(t, "/usr/bin/python3"), "-c", pythonParse)
	cmd.Stdin = strings.NewReader(strings.TrimSuffix(Format("mx.example.com",
		Result{Method: "spf", Value: "pass", Properties: []Property{{"smtp", "mailfrom", "example.org"}}},
		Result{Method: "dkim", Value: "fail", Reason: `why "not"; so`, Properties: []Property{{"header", "d", "example.org"}, {"header", "b", "a/b+c="}}},
		Result{Method: "dmarc", Value: "none", Comment: "a (b) c", Properties: []Property{{"header", "from", "example.org"}}},
	), "\r\n"))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		if strings.Contains(stderr.String(), "ModuleNotFoundError") {
			peers.Need(t, "authres (Debian's python3-authres)")
		}
		t.Fatalf("%v: %s", err, &stderr)
	}
	const want = "mx.example.com\nspf pass smtp.mailfrom=example.org\ndkim fail header.d=example.org header.b=a/b+c=\ndmarc none header.from=example.org\n"
	if string(out) != want {
		t.Errorf("read as\n%s\nwant\n%s", out, want)
	}
}
