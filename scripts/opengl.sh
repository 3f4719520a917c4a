#!/bin/sh
# Drawing without a screen needs EGL and a software renderer: install them where that is possible, else name them.
packages="libegl1 libegl-mesa0 libgl1-mesa-dri libgles2 libosmesa6"
ldconfig -p 2>/dev/null | grep -q libEGL.so.1 && exit 0
if [ "$(uname)" != Linux ]; then exit 0; fi
if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
  echo "installing OpenGL libraries: $packages"
  if apt-get update -qq >/dev/null 2>&1 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $packages >/dev/null 2>&1; then
    exit 0
  fi
fi
echo "OpenGL is missing, pictures cannot be drawn. Run: sudo apt-get install $packages" >&2
exit 1
