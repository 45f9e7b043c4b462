package e2e

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
)

// Each setting that the README of smarthost names beside a setting of the SMTP service
// of Windows is a flag of smarthost.
func TestMigrationTable(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../../examples/smarthost/README.md")
	if err != nil {
		t.Fatal(err)
	}
	help, err := exec.Command(peers.Build(t, "../../examples/smarthost"), "-h").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, help)
	}
	flags := make(map[string]bool)
	for _, m := range regexp.MustCompile(`(?m)^  -([a-z-]+)`).FindAllStringSubmatch(string(help), -1) {
		flags[m[1]] = true
	}
	_, section, _ := strings.Cut(string(readme), "## Migration from IIS 6\n")
	section, _, _ = strings.Cut(section, "\n## ")
	code := regexp.MustCompile("`([^`]*)`")
	rows, named := 0, 0
	for line := range strings.Lines(section) {
		cells := strings.Split(line, "|")
		if len(cells) != 4 || strings.HasPrefix(cells[1], "---") {
			continue
		}
		rows++
		for _, m := range code.FindAllStringSubmatch(cells[2], -1) {
			// "tls: encrypt" is a setting with a value. "36M" and "relayctl queues" are no settings.
			name, _, value := strings.Cut(m[1], ":")
			if !value && !regexp.MustCompile(`^[a-z]+(-[a-z]+)*$`).MatchString(name) {
				continue
			}
			if flags[name] {
				named++
			} else if !examples[name] && name != "domain" { // a value of tls
				t.Errorf("smarthost has no flag -%s:%s", name, line)
			}
		}
	}
	if rows < 40 || named < 25 {
		t.Errorf("%d rows name %d settings: the table was not read", rows, named)
	}
}

// examples are the gateways to which the table refers.
var examples = map[string]bool{"merger": true, "bridgehead": true}
