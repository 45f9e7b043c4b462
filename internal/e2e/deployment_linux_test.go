package e2e

import (
	"crypto/x509"
	"encoding/pem"
	"net/smtp"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/internal/pgtest"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// The files with which each gateway is deployed are right: its sample of a
// configuration, its unit of systemd, and its Dockerfile. Without a container engine,
// the test runs the build line of the Dockerfile, and the program in an empty root
// directory with the user of the image.
func TestDeployment(t *testing.T) {
	for gateway, flags := range map[string][]string{
		"bridgehead": {"-listen", "127.0.0.1:0"},
		"cluster":    {"-listen", "127.0.0.1:0"},
		"customer":   {"-listen", "127.0.0.1:0"},
		"dualhomed":  {"-inside", "127.0.0.2:0", "-outside", "127.0.0.3:0", "-networks", "127.0.0.2"},
		"edge":       {"-receive.internet.listen", "127.0.0.1:0", "-receive.organization.listen", "127.0.0.2:0"},
		"merger":     {"-listen", "127.0.0.1:0"},
		"perimeter":  {"-listen", "127.0.0.1:0"},
		"provider":   {"-listen", "127.0.0.1:0"},
		"smarthost":  {"-listen", "127.0.0.1:0"},
		"submission": {"-listen", "127.0.0.1:0", "-listen-tls", "127.0.0.2:0"},
	} {
		t.Run(gateway, func(t *testing.T) {
			t.Parallel()
			d := deployment{t: t, gateway: gateway, folder: filepath.Join("../../examples", gateway), root: t.TempDir()}
			d.build()
			d.unit()
			if gateway == "cluster" {
				flags = append(flags, "-database", d.database())
			}
			d.image(flags)
		})
	}
}

type deployment struct {
	t       *testing.T
	gateway string
	folder  string // of the gateway
	root    string // of the image
}

func (d *deployment) read(name string) string {
	d.t.Helper()
	text, err := os.ReadFile(filepath.Join(d.folder, name))
	if err != nil {
		d.t.Fatal(err)
	}
	return string(text)
}

var goBuild = regexp.MustCompile(`(?m)^RUN cd /src/(\S+) && (CGO_ENABLED=0 go build .*?) && mkdir /data`)

// build runs the build line of the Dockerfile.
func (d *deployment) build() {
	m := goBuild.FindStringSubmatch(d.read("Dockerfile"))
	if m == nil || m[1] != "examples/"+d.gateway {
		d.t.Fatalf("the Dockerfile has no build line: %q", m)
	}
	line := strings.Replace(m[2], "-o /"+d.gateway, "-o "+filepath.Join(d.root, d.gateway), 1)
	cmd := exec.Command("sh", "-c", line)
	cmd.Dir = d.folder
	if out, err := cmd.CombinedOutput(); err != nil {
		d.t.Fatalf("%s: %v\n%s", line, err, out)
	}
}

// unit checks the unit of systemd.
func (d *deployment) unit() {
	unit := d.read(d.gateway + ".service")
	for _, want := range []string{"NoNewPrivileges=yes", "ProtectSystem=strict", "CapabilityBoundingSet=CAP_NET_BIND_SERVICE",
		"ExecReload=/bin/kill -HUP $MAINPID", "ExecStartPre=/usr/local/bin/" + d.gateway + " -config /etc/" + d.gateway + "/" + d.gateway + ".yaml -check"} {
		if !strings.Contains(unit, "\n"+want+"\n") {
			d.t.Errorf("the unit has no line %q", want)
		}
	}
	if strings.Contains(unit, "\nProcSubset=") { // Go reads /proc/sys/net/core/somaxconn
		d.t.Error("the unit hides the listen backlog from Go")
	}
	path := filepath.Join(d.t.TempDir(), d.gateway+".service")
	text := strings.ReplaceAll(unit, "/usr/local/bin/"+d.gateway, filepath.Join(d.root, d.gateway))
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		d.t.Fatal(err)
	}
	if out, err := exec.Command(peers.Need(d.t, "systemd-analyze"), "verify", path).CombinedOutput(); err != nil || len(out) > 0 {
		d.t.Errorf("systemd-analyze: %v\n%s", err, out)
	}
}

// put writes a file of the image, which its user can read.
func (d *deployment) put(name, text string) {
	path := filepath.Join(d.root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		d.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		d.t.Fatal(err)
	}
	if err := os.Chown(path, imageUser, imageUser); err != nil {
		d.t.Fatal(err)
	}
}

// imageUser is the user and the group of the image.
const imageUser = 65532

// image checks the sample of a configuration in an empty root directory, and starts the
// gateway there.
func (d *deployment) image(flags []string) {
	if os.Getuid() != 0 {
		d.t.Log("only root can change the root directory")
		return
	}
	config := d.read(d.gateway + ".yaml")
	d.put(d.gateway+".yaml", config)
	d.files(config)
	data := filepath.Join(d.root, "data")
	if err := os.Mkdir(data, 0o755); err != nil {
		d.t.Fatal(err)
	}
	if err := os.Chown(data, imageUser, imageUser); err != nil {
		d.t.Fatal(err)
	}
	if out, err := d.command("-check").CombinedOutput(); err != nil {
		d.t.Fatalf("-check: %v\n%s", err, out)
	}
	log := filepath.Join(d.root, "log")
	stderr, err := os.Create(log)
	if err != nil {
		d.t.Fatal(err)
	}
	defer stderr.Close()
	cmd := d.command(flags...)
	cmd.Stderr = stderr
	if err := cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	lines := func() string {
		text, err := os.ReadFile(log)
		if err != nil {
			d.t.Error(err)
		}
		return string(text)
	}
	var listening []string
	peers.Await(d.t, "that it listens", func() bool {
		listening = listeningAt.FindStringSubmatch(lines())
		return listening != nil
	})
	if d.gateway == "cluster" {
		d.large(listening[1])
	}
	cmd.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-ended:
		if err != nil {
			d.t.Errorf("%v\n%s", err, lines())
		}
	case <-time.After(20 * time.Second):
		cmd.Process.Kill()
		d.t.Errorf("it did not end:\n%s", lines())
	}
	if files, err := os.ReadDir(data); err != nil || len(files) == 0 {
		d.t.Errorf("%v; it has no file on the volume", err)
	}
}

var listeningAt = regexp.MustCompile(`msg=listening .*address=(\S+)`)

// large sends a message that does not stay in memory. A gateway without a spool writes
// it to a temporary file.
func (d *deployment) large(addr string) {
	d.t.Helper()
	content := "Subject: large\r\n\r\n" + strings.Repeat("A line of some text.\r\n", 50_000)
	if err := smtp.SendMail(addr, nil, "carol@example.net", []string{"alice@example.com"}, []byte(content)); err != nil {
		d.t.Error(err)
	}
}

// database starts a database whose user has the password that files writes, and returns
// its URL.
func (d *deployment) database() string {
	server := pgtest.Start(d.t)
	url := server.Database(d.t)
	server.Query(d.t, server.Admin(url), "alter role "+pgtest.User+" password 'sesame'")
	name, _, _ := strings.Cut(strings.TrimPrefix(url, "postgres://"+pgtest.User+"@/"), "?")
	return "postgres://" + pgtest.User + "@" + server.Addr() + "/" + name + "?sslmode=disable"
}

// command returns a command that runs the gateway in the image.
func (d *deployment) command(flags ...string) *exec.Cmd {
	cmd := exec.Command("/"+d.gateway, append([]string{"-config", "/" + d.gateway + ".yaml"}, flags...)...)
	cmd.Dir, cmd.Env = "/data", []string{}
	for _, m := range dockerEnv.FindAllStringSubmatch(d.read("Dockerfile"), -1) {
		cmd.Env = append(cmd.Env, m[1])
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: d.root, Credential: &syscall.Credential{Uid: imageUser, Gid: imageUser}}
	return cmd
}

var dockerEnv = regexp.MustCompile(`(?m)^ENV (\S+=\S+)$`)

// files puts the files into the image that the sample names.
func (d *deployment) files(config string) {
	cert := smtptest.Certificate(d.t, "mail.provider.example")
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		d.t.Fatal(err)
	}
	texts := map[string]string{
		"password": "sesame\n", "recipients": "alice\n", "ours": "alice\n", "theirs": "bob\n", "customers": "boat ahoy-0815 boat.example\n",
		"accounts": "alice:$2y$05$dUOI7WxJMMl/ggAPk.1tkeWKJZvIkaRYWkEP122IvXV4WNBKkKVv.\n", "users": "alice sales@example.com max-size=100M\n",
		"cert.pem": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]})),
		"key.pem":  string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})),
	}
	for line := range strings.Lines(config) {
		value, _, _ := strings.Cut(line, " #")
		_, value, _ = strings.Cut(value, ": ")
		if name, ok := strings.CutPrefix(strings.TrimSpace(value), "/etc/"+d.gateway+"/"); ok && !strings.HasPrefix(line, "#") {
			d.put("etc/"+d.gateway+"/"+name, texts[name])
		}
	}
}
