package smtpclient_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The examples compile and work in a module of a user, who cannot import the
// internal packages of this one.
func TestExamplesOutsideTheModule(t *testing.T) {
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	const module = "github.com/bridgehead-mail/bridgehead"
	dir := t.TempDir()
	mod := strings.Replace(read(t, filepath.Join(root, "go.mod")), "module "+module+"\n",
		"module sender.example\n\nrequire "+module+" v0.0.0\n\nreplace "+module+" => "+root+"\n", 1)
	for name, text := range map[string]string{
		"go.mod":              mod,
		"go.sum":              read(t, filepath.Join(root, "go.sum")),
		"example_test.go":     read(t, "example_test.go"),
		"testdata/letter.eml": read(t, "testdata/letter.eml"),
	} {
		to := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "go", "test", "-v", "-run", "^Example(Send|File)$", ".")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOPROXY=off", "GOWORK=off")
	out, err := cmd.CombinedOutput()
	if err != nil || strings.Count(string(out), "--- PASS: Example") != 2 {
		t.Errorf("%v\n%s", err, out)
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
