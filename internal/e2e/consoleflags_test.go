package e2e

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Each gateway has the flags of the console. (TestFirstRuns opens the consoles of most
// gateways.)
func TestEveryGatewayHasTheConsole(t *testing.T) {
	notRelays := []string{"boltstore", "spooltool", "relayctl", "README.md"}
	folders, err := filepath.Glob("../../examples/*")
	if err != nil || len(folders) < 12 {
		t.Fatalf("%v, %v", folders, err)
	}
	for _, folder := range folders {
		name := filepath.Base(folder)
		if slices.Contains(notRelays, name) {
			continue
		}
		want := []string{"console.Define(flag.CommandLine)", "console.Install("}
		if name == "internal" { // of most gateways
			folder, want = filepath.Join(folder, "program"), []string{"Console.Define(f)", "Console.Install(relay)"}
		} else if _, err := os.Stat(filepath.Join(folder, name+".yaml")); err == nil {
			want = []string{`yamlfile.Main("` + name + `"`}
		}
		if name == "edge" { // it has a default file
			want = []string{"command.Main()", "yamlfile.Read"}
		}
		var text strings.Builder
		for _, pattern := range []string{"*.go", "*.yaml"} {
			files, _ := filepath.Glob(filepath.Join(folder, pattern))
			for _, file := range files {
				b, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				text.Write(b)
			}
		}
		for _, w := range want {
			if !strings.Contains(text.String(), w) {
				t.Errorf("%s has no %q", name, w)
			}
		}
	}
}
