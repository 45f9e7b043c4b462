package arc

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
)

const pythonVerify = `
import sys, dkim
keys = dict(line.split(' ', 1) for line in open(sys.argv[1]).read().splitlines())
def dns(name, timeout=5):
    return keys[name.decode().rstrip('.')].encode()
cv, results, comment = dkim.arc_verify(open(sys.argv[2], 'rb').read(), dnsfunc=dns)
print(cv.decode() if cv else cv, comment)
`

const pythonSeal = `
import sys, dkim
message = open(sys.argv[1], 'rb').read()
own = b'Authentication-Results: mx.list.example; arc=' + sys.argv[3].encode() + b'; spf=pass smtp.mailfrom=example.org\r\n'
sealed = dkim.arc_sign(own + message, b's1', b'list.example', open(sys.argv[2], 'rb').read(), b'mx.list.example')
sys.stdout.buffer.write(b''.join(sealed) + message)
`

// Chains that dkimpy and this package seal in turn pass with both.
func TestPeerChain(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	var records strings.Builder
	for _, k := range keys() {
		record, err := k.Record()
		if err != nil {
			t.Fatal(err)
		}
		records.WriteString(k.Name() + " " + record + "\n")
	}
	recordFile := write("records", records.String())
	keyFile := write("key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(keys()[0].Private.(*rsa.PrivateKey))})))

	v, _ := newVerifier(t)
	message := plain
	for i := range 4 {
		if i%2 == 0 {
			message = pass(t, v, 0, message, nil) // dkimpy supports only RSA
		} else {
			message = string(python(t, pythonSeal, write("message", message), keyFile, "pass"))
		}
		if got := verify(t, v, message); got.Result != Pass || got.Instances != i+1 {
			t.Errorf("%d sets: %+v\n%s", i+1, got, message)
		}
		if out := python(t, pythonVerify, recordFile, write("message", message)); !strings.HasPrefix(string(out), "pass") {
			t.Errorf("dkimpy, %d sets: %s\n%s", i+1, out, message)
		}
	}
}

func python(t *testing.T, script string, args ...string) []byte {
	t.Helper()
	return peers.Python(t, "dkimpy (Debian packages python3-dkim and python3-authres)", script, args...)
}
