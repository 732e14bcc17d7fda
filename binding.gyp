{
  # node-gyp and prebuildify get the same build as `npm run build:native`; nothing is compiled by gyp itself
  "targets": [
    {
      "target_name": "sd_rpn",
      "type": "none",
      "actions": [
        {
          "action_name": "cmake",
          "inputs": ["scripts/build-native.mjs"],
          # never written: whether anything is to be done is for CMake to say
          "outputs": ["<(module_root_dir)/build/cmake/built"],
          "action": ["node", "scripts/build-native.mjs", "--gyp"],
          "message": "sd-rpn: building with CMake"
        }
      ]
    }
  ]
}
