// Package peers finds and runs the other mail programs of interoperability tests:
// Postfix, Exim, Dovecot, swaks, telnet and others. Only tests import it.
package peers

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Strict is the name of an environment variable. If its value is 1, a missing
// program fails a test; otherwise it skips the test.
const Strict = "BRIDGEHEAD_INTEROP"

// Dir returns the folder of the programs that cannot be installed together: the
// value of the environment variable BRIDGEHEAD_PEERS. Default
// /var/cache/bridgehead-peers. Each Debian package is unpacked into its own folder
// (exim4/usr/sbin/exim4). npm packages are in node_modules.
func Dir() string {
	if d := os.Getenv("BRIDGEHEAD_PEERS"); d != "" {
		return d
	}
	return "/var/cache/bridgehead-peers"
}

// Need returns the path of a program. If the program is missing, the test is
// skipped, or fails if the environment has BRIDGEHEAD_INTEROP=1.
func Need(t testing.TB, program string) string {
	t.Helper()
	path := find(program)
	if path == "" {
		missing(t, program)
	}
	t.Logf("peer: %s", path)
	return path
}

// NeedNode returns the node program and the folder for NODE_PATH that contains the
// npm package. If one is missing, the test is skipped or fails as with Need.
func NeedNode(t testing.TB, pkg string) (node, nodePath string) {
	t.Helper()
	node = Need(t, "node")
	return node, filepath.Dir(NeedPackage(t, pkg))
}

// NeedPackage returns the folder of an npm package. If it is missing, the test is
// skipped or fails as with Need.
func NeedPackage(t testing.TB, pkg string) string {
	t.Helper()
	folder := filepath.Join(Dir(), "node_modules", pkg)
	if _, err := os.Stat(filepath.Join(folder, "package.json")); err != nil {
		missing(t, "npm package "+pkg)
	}
	t.Logf("peer: %s", folder)
	return folder
}

// NeedRoot skips the test if it does not run as root.
func NeedRoot(t testing.TB) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("root must run this test")
	}
}

// NeedPython returns a Python 3 interpreter. If there is none, the test is skipped
// or fails as with Need.
func NeedPython(t testing.TB) string {
	t.Helper()
	return Need(t, "python3")
}

// Python runs a script with the Python 3 of Debian and returns its output. If a
// module is missing, it skips or fails as Need does; modules names the packages.
func Python(t testing.TB, modules, script string, args ...string) []byte {
	t.Helper()
	cmd := exec.Command(Need(t, "/usr/bin/python3"), append([]string{"-c", script}, args...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		if strings.Contains(stderr.String(), "ModuleNotFoundError") {
			missing(t, modules)
		}
		t.Fatalf("python: %v: %s", err, &stderr)
	}
	return out
}

func missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv(Strict) == "1" {
		t.Fatalf("peer missing: %s", what)
	}
	t.Skipf("peer missing: %s", what)
}

func find(program string) string {
	if path, err := exec.LookPath(program); err == nil {
		return path
	}
	candidates := []string{"/usr/sbin/" + program, "/usr/local/sbin/" + program, "/sbin/" + program}
	for _, bin := range []string{"usr/sbin", "usr/bin"} {
		unpacked, _ := filepath.Glob(filepath.Join(Dir(), "*", bin, program)) // the pattern is valid
		candidates = append(candidates, unpacked...)
	}
	for _, path := range candidates {
		if st, err := os.Stat(path); err == nil && st.Mode().IsRegular() && st.Mode()&0o111 != 0 {
			return path
		}
	}
	return ""
}
