package peers

import (
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
)

// GoSMTPVersions are the old versions of go-smtp that GoSMTP can run. They
// refuse BDAT without reading the chunk when no recipient was accepted.
var GoSMTPVersions = []string{"v0.20.2", "v0.21.3", "v0.24.0", "v0.25.0"}

// GoSMTP runs a mail server that uses an old version of go-smtp, from the module
// proxy. It accepts every recipient except nobody@... For each message its log has
// a line "msg=taken from=... to=... text=...".
func GoSMTP(t testing.TB, version string) *Process {
	t.Helper()
	_, here, _, _ := runtime.Caller(0)
	program := filepath.Join(t.TempDir(), "gosmtp-"+version)
	args := []string{"build", "-o", program}
	if version != "v0.25.0" { // which is that of go.mod
		args = append(args, "-modfile="+version+".mod")
	}
	cmd := exec.Command("go", append(args, ".")...)
	cmd.Dir = filepath.Join(filepath.Dir(here), "testdata", "gosmtp")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Logf("%v\n%s", err, out)
		missing(t, "go-smtp "+version)
	}
	t.Logf("peer: go-smtp %s", version)
	return Start(t, program, 1)
}
