package program

import (
	"errors"
	"os"
	"strings"
	"testing"
)

// Without a setting on the command line, the default file is used.
func TestDefaultConfig(t *testing.T) {
	t.Chdir(t.TempDir())
	p := Program{Name: "office", New: func() Gateway { return new(office) }, ReadFile: readLines, Config: "office.yaml"}
	run := func(args ...string) string {
		var out, errs strings.Builder
		p.Run(append(args, "-check"), &out, &errs)
		return out.String() + errs.String()
	}
	if got := run(); !strings.Contains(got, "-config: open office.yaml: no such file") {
		t.Errorf("without a file: %s", got)
	}
	if err := os.WriteFile("office.yaml", []byte("rate: x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := run(); !strings.Contains(got, "office.yaml:1: rate: ") {
		t.Errorf("with the file: %s", got)
	}
	if got := run("-spool", "x"); !strings.Contains(got, "-server: is required") || strings.Contains(got, "office.yaml") {
		t.Errorf("with a flag: %s", got)
	}
}

// If the configuration file cannot be read, no setting is reported as missing.
func TestUnreadableFile(t *testing.T) {
	p := Program{Name: "office", New: func() Gateway { return new(office) }, ReadFile: func(string, []byte) ([]Setting, error) { return nil, errors.New("x.yaml:1: wrong") }}
	for path, want := range map[string]string{"/nowhere/x.yaml": "-config: open /nowhere/x.yaml: no such file or directory\n", "source_test.go": "x.yaml:1: wrong\n"} {
		var out, errs strings.Builder
		if status := p.Run([]string{"-config", path, "-check"}, &out, &errs); status != 2 || errs.String() != want {
			t.Errorf("status %d\n%s", status, errs.String())
		}
	}
}
