// Writes the descriptors of every proto file that imports.go links in, as one FileDescriptorSet
// (imports before importers), and a note that says which Envoy they describe.
//
// usage: descriptors DIRECTORY
package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
)

const envoyModule = "github.com/envoyproxy/go-control-plane/envoy"

// note is what envoy.json holds: the Envoy version and the digest of the descriptors made from it.
type note struct {
	Version string `json:"version"`
	Sha256  string `json:"sha256"`
}

func main() {
	log.SetFlags(0)
	if len(os.Args) != 2 {
		log.Fatal("usage: descriptors DIRECTORY")
	}
	if err := write(os.Args[1]); err != nil {
		log.Fatal(err)
	}
}

func write(directory string) error {
	version, err := moduleVersion(envoyModule)
	if err != nil {
		return err
	}
	files, err := inOrder(linkedFiles())
	if err != nil {
		return err
	}
	set, err := proto.MarshalOptions{Deterministic: true}.Marshal(&descriptorpb.FileDescriptorSet{File: files})
	if err != nil {
		return err
	}
	digest := sha256.Sum256(set)
	text, err := json.MarshalIndent(note{Version: version, Sha256: hex.EncodeToString(digest[:])}, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(directory, "envoy.binpb"), set, 0o644); err != nil {
		return err
	}
	fmt.Printf("Envoy %s: %d files, %d bytes\n", version, len(files), len(set))
	return os.WriteFile(filepath.Join(directory, "envoy.json"), append(text, '\n'), 0o644)
}

// moduleVersion is the version this program was built with, without its "v".
func moduleVersion(path string) (string, error) {
	build, ok := debug.ReadBuildInfo()
	if !ok {
		return "", fmt.Errorf("this binary carries no build information")
	}
	for _, module := range build.Deps {
		if module.Path == path {
			return strings.TrimPrefix(module.Version, "v"), nil
		}
	}
	return "", fmt.Errorf("%s is not linked in", path)
}

// linkedFiles are all registered files, by path, so that the output does not hang on link order.
func linkedFiles() []protoreflect.FileDescriptor {
	var files []protoreflect.FileDescriptor
	protoregistry.GlobalFiles.RangeFiles(func(file protoreflect.FileDescriptor) bool {
		files = append(files, file)
		return true
	})
	slices.SortFunc(files, func(a, b protoreflect.FileDescriptor) int { return strings.Compare(a.Path(), b.Path()) })
	return files
}

// inOrder puts each file after what it imports. An import nobody registered is an error.
func inOrder(files []protoreflect.FileDescriptor) ([]*descriptorpb.FileDescriptorProto, error) {
	var ordered []*descriptorpb.FileDescriptorProto
	done := map[string]bool{}
	var visit func(protoreflect.FileDescriptor) error
	visit = func(file protoreflect.FileDescriptor) error {
		if done[file.Path()] {
			return nil
		}
		done[file.Path()] = true
		imports := file.Imports()
		for i := range imports.Len() {
			imported := imports.Get(i)
			if imported.IsPlaceholder() {
				return fmt.Errorf("%s imports %s, which no linked package holds", file.Path(), imported.Path())
			}
			if err := visit(imported.FileDescriptor); err != nil {
				return err
			}
		}
		ordered = append(ordered, protodesc.ToFileDescriptorProto(file))
		return nil
	}
	for _, file := range files {
		if err := visit(file); err != nil {
			return nil, err
		}
	}
	return ordered, nil
}
